// Menus and lists that float above everything, modals included (the browser's top layer).

import { fill, h } from "./dom.js";

const GAP = 4;

function position(box, anchor, { above = false, alignEnd = false, wide = false }) {
  const rect = anchor.getBoundingClientRect();
  if (wide) box.style.width = `${rect.width}px`;
  const { width, height } = box.getBoundingClientRect();
  const below = rect.bottom + GAP + height < innerHeight;
  const top = above || !below ? Math.max(GAP, rect.top - GAP - height) : rect.bottom + GAP;
  const left = alignEnd ? rect.right - width : rect.left;
  box.style.top = `${top}px`;
  box.style.left = `${Math.min(Math.max(GAP, left), Math.max(GAP, innerWidth - width - GAP))}px`;
}

// The closest ancestor of the anchor that may contain a floating box: an open dialog makes the rest inert.
const layerOf = (anchor) => anchor.closest("dialog") ?? document.body;

// items: [{label, description?, danger?, icon?, choose()}].  Closes on Esc, a click elsewhere, or a choice.
export function openMenu(anchor, label, items) {
  const menu = h("div", { class: "menu", role: "menu", "aria-label": label, popover: "auto" });
  const close = () => menu.isConnected && menu.hidePopover();
  fill(
    menu,
    items.map((item) =>
      h(
        "button",
        { type: "button", role: "menuitem", tabindex: "-1", class: item.danger ? "danger" : null, onclick: () => (close(), item.choose()) },
        h("span", { class: "menu-label" }, item.label),
        item.description && h("span", { class: "menu-detail" }, item.description),
      ),
    ),
  );
  menu.addEventListener("keydown", (event) => moveFocus(menu, event));
  menu.addEventListener("toggle", (event) => {
    anchor.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState !== "closed") return;
    const focused = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (focused && anchor.isConnected) anchor.focus({ preventScroll: true });
  });
  layerOf(anchor).append(menu);
  menu.showPopover();
  position(menu, anchor, { alignEnd: true });
  menu.querySelector("[role=menuitem]")?.focus();
}

function moveFocus(menu, event) {
  const items = [...menu.querySelectorAll("[role=menuitem]")];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length]?.focus();
}

let lists = 0;

// A list of suggestions under (or over) a text field; the field keeps the focus.
export class SuggestionList {
  constructor(field, { label, above = false, choose }) {
    this.field = field;
    this.choose = choose;
    this.above = above;
    this.items = [];
    this.at = 0;
    lists += 1;
    this.id = `list-${lists}`;
    this.box = h("div", { class: "suggestions", role: "listbox", "aria-label": label, id: this.id, popover: "manual" });
    field.setAttribute("aria-controls", this.id);
    field.setAttribute("aria-autocomplete", "list");
    field.addEventListener("blur", () => this.hide());
  }

  get isOpen() {
    return this.box.isConnected;
  }

  get active() {
    return this.items[this.at];
  }

  // items: [{label, detail?, lead?}], drawn in order; the first one is active.
  show(items) {
    if (!items.length) return this.hide();
    this.items = items;
    this.at = 0;
    fill(this.box, items.map((item, index) => this.#option(item, index)));
    if (!this.isOpen) {
      layerOf(this.field).append(this.box);
      this.box.showPopover();
    }
    position(this.box, this.field, { above: this.above, wide: true });
    this.#mark();
  }

  hide() {
    if (!this.isOpen) return;
    this.box.remove();
    this.field.removeAttribute("aria-activedescendant");
  }

  // True if the list handled the key.
  key(event) {
    if (!this.isOpen) return false;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.at = (this.at + (event.key === "ArrowDown" ? 1 : -1) + this.items.length) % this.items.length;
      this.#mark();
    } else if (event.key === "Enter" || event.key === "Tab") this.#take(this.at);
    else if (event.key === "Escape") this.hide();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  #take(index) {
    const item = this.items[index];
    this.hide();
    this.choose(item);
  }

  #option(item, index) {
    return h(
      "div",
      {
        role: "option",
        id: `${this.id}-${index}`,
        onpointerdown: (event) => event.preventDefault(),
        onclick: () => this.#take(index),
      },
      item.lead,
      h("span", { class: "option-label" }, item.label),
      item.hint && h("span", { class: "option-hint" }, item.hint),
      item.detail && h("span", { class: "option-detail" }, item.detail),
    );
  }

  #mark() {
    [...this.box.children].forEach((option, index) => option.setAttribute("aria-selected", String(index === this.at)));
    const active = this.box.children[this.at];
    active?.scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", active?.id ?? "");
  }
}

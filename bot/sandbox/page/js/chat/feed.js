// A list of messages that changes while a person reads it: an unchanged message stays the same element.

import { h, icon } from "../dom.js";
import { dayKey, dayOf } from "../time.js";
import { drawMessage } from "./message.js";

const NEAR_END_PX = 90;
const COMPACT_SECONDS = 300;

export class Feed {
  #rows = new Map();
  #context;
  #atEnd = true;
  #top = 0;

  // context: {label, channel(): id, inThread, intro?(): the text above the first message}
  constructor(context) {
    this.#context = context;
    this.list = h("ol", { class: "feed-list", "aria-label": context.label });
    this.more = h("button", { type: "button", class: "new-messages", hidden: true, onclick: () => this.toEnd(true) }, icon("down"), "New messages");
    this.scroller = h("div", { class: "feed", tabindex: "-1" }, this.list);
    this.element = h("div", { class: "feed-frame" }, this.scroller, this.more);
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Late content (a file's preview) or a smaller window must not push the end out of sight.
    const observer = new ResizeObserver(() => this.#atEnd && this.toEnd());
    observer.observe(this.list);
    observer.observe(this.scroller);
  }

  clear(label) {
    this.#rows.clear();
    this.list.replaceChildren();
    this.list.setAttribute("aria-label", label);
    this.more.hidden = true;
    this.#atEnd = true;
    this.#top = 0;
  }

  show(messages) {
    this.#scrolled();
    const known = this.#rows;
    const next = new Map();
    if (this.#context.intro) next.set("intro", { element: h("li", { class: "intro" }, this.#context.intro()) });
    let previous = null;
    let isNewBelow = false;
    for (const message of messages) {
      if (!previous || dayKey(previous.ts) !== dayKey(message.ts)) {
        const key = `day-${dayKey(message.ts)}`;
        next.set(key, known.get(key) ?? { element: dayLine(message.ts), fingerprint: key });
      }
      const compact = isCompact(previous, message);
      const fingerprint = JSON.stringify([message, compact]);
      const old = known.get(message.ts);
      if (!old && known.size) isNewBelow = true;
      next.set(message.ts, old?.fingerprint === fingerprint ? old : { element: this.#draw(message, compact, old?.element), fingerprint });
      previous = message;
      if (this.#context.inThread && message === messages[0] && messages.length > 1) {
        const key = `replies-${messages.length}`;
        next.set(key, known.get(key) ?? { element: line(plural(messages.length - 1)), fingerprint: key });
      }
    }
    this.#rows = next;
    arrange(this.list, [...next.values()].map((row) => row.element));
    if (this.#atEnd) this.toEnd();
    else if (isNewBelow) this.more.hidden = false;
  }

  toEnd(smooth = false) {
    this.#atEnd = true;
    this.more.hidden = true;
    this.scroller.scrollTo({ top: this.scroller.scrollHeight, behavior: smooth ? "smooth" : "instant" });
    this.#top = this.scroller.scrollTop;
  }

  #draw(message, compact, old) {
    const element = drawMessage(message, { channel: this.#context.channel(), inThread: this.#context.inThread, compact });
    if (old) keepOpen(old, element);
    return element;
  }

  // Only scrolling up leaves the end; new content below does not.
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) this.#atEnd = true;
    else if (scrollTop < this.#top) this.#atEnd = false;
    this.#top = scrollTop;
    if (this.#atEnd) this.more.hidden = true;
  }
}

function isCompact(previous, message) {
  if (!previous || previous.user !== message.user || previous.ephemeral || message.ephemeral) return false;
  if (previous.subtype || message.subtype || message.blocks?.some((block) => block.type !== "rich_text")) return false;
  return dayKey(previous.ts) === dayKey(message.ts) && Number(message.ts) - Number(previous.ts) < COMPACT_SECONDS && !previous.reply_count;
}

const line = (words) => h("li", { class: "day", role: "separator" }, h("span", null, words));
const dayLine = (ts) => line(dayOf(ts));
const plural = (count) => `${count} ${count === 1 ? "reply" : "replies"}`;

// Orders the elements with as few moves as possible: a moved element would lose its focus.
function arrange(list, elements) {
  const wanted = new Set(elements);
  const focused = list.contains(document.activeElement) ? focusPath(document.activeElement) : null;
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, index) => {
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
  });
  if (focused && !list.contains(document.activeElement)) list.querySelector(focused)?.focus({ preventScroll: true });
}

function focusPath(element) {
  const row = element.closest("[data-ts]")?.dataset.ts;
  const action = element.closest("[data-action-id]")?.dataset.actionId;
  if (!row || !action) return null;
  return `[data-ts="${CSS.escape(row)}"] [data-action-id="${CSS.escape(action)}"]`;
}

// A redrawn card keeps its unfolded parts unfolded.
function keepOpen(old, element) {
  for (const details of old.querySelectorAll("details[open][data-keep]")) {
    element.querySelector(`details[data-keep="${CSS.escape(details.dataset.keep)}"]`)?.setAttribute("open", "");
  }
  const unfolded = [...old.querySelectorAll(".see-more")].map((button) => button.getAttribute("aria-expanded") === "true");
  [...element.querySelectorAll(".see-more")].forEach((button, index) => unfolded[index] && button.click());
}

// The composer: a message to the channel or thread, or a slash command.

import { send } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { SuggestionList } from "../popover.js";
import { reasonFor, toast } from "../toasts.js";
import { person, world } from "../world.js";
import { commandOf, suggestions } from "./suggest.js";

const drafts = new Map();
let lastSent = "";
let composers = 0;

export class Composer {
  #where = { channel: null, thread: null };
  #replace = null;

  // onSent(text): the text went out; scrolls the feed to its end.
  constructor({ onSent }) {
    composers += 1;
    const id = `composer-${composers}`;
    this.onSent = onSent;
    this.field = h("textarea", { rows: 1, id, "aria-describedby": `${id}-error`, enterkeyhint: "send", spellcheck: "true" });
    this.error = h("p", { class: "composer-error", id: `${id}-error`, role: "alert", hidden: true });
    this.usage = h("p", { class: "composer-usage", hidden: true });
    this.button = h("button", { type: "submit", class: "send", "aria-label": "Send", title: "Send (Enter)", disabled: true }, icon("send"));
    this.element = h("form", { class: "composer", novalidate: true }, this.usage, h("div", { class: "composer-box" }, this.field, this.button), this.error);
    this.list = new SuggestionList(this.field, { label: "Suggestions", above: true, choose: (item) => this.#insert(item) });
    this.element.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    this.field.addEventListener("input", () => this.#typed());
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("click", () => this.#suggest());
  }

  // label: the accessible name, also the placeholder.
  place(where, label) {
    this.#where = where;
    this.field.setAttribute("aria-label", label);
    this.field.placeholder = label;
    this.field.value = drafts.get(this.#draftKey()) ?? "";
    this.#fail(null);
    this.#typed(false);
  }

  put(text) {
    this.field.value = text;
    this.field.focus();
    this.field.setSelectionRange(text.length, text.length);
    this.#typed(false);
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  #draftKey() {
    return `${person()}/${this.#where.channel}/${this.#where.thread ?? ""}`;
  }

  #typed(suggest = true) {
    const text = this.field.value;
    drafts.set(this.#draftKey(), text);
    this.button.disabled = !text.trim();
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
    if (suggest) this.#fail(null);
    const command = /^\/\S+\s/.test(text) ? commandOf(text)?.known : null;
    this.usage.hidden = !command || Boolean(this.#where.thread);
    if (command) fill(this.usage, h("code", null, command.command), " ", command.usage_hint || command.description);
    if (suggest) this.#suggest();
  }

  #suggest() {
    const offer = suggestions(this.field.value, this.field.selectionStart);
    this.#replace = offer;
    this.list.show(offer?.items ?? []);
  }

  #isComplete() {
    const { from, to } = this.#replace;
    return this.list.active.insert.trim() === this.field.value.slice(from, to);
  }

  #insert(item) {
    const { from, to } = this.#replace;
    const text = this.field.value;
    this.field.value = text.slice(0, from) + item.insert + text.slice(to);
    this.field.setSelectionRange(from + item.insert.length, from + item.insert.length);
    this.field.focus();
    this.#typed(false);
  }

  #key(event) {
    if (event.isComposing) return;
    // A fully typed name is sent, not completed again.
    const sends = event.key === "Enter" && this.list.isOpen && this.#isComplete();
    if (!sends && this.list.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.list.hide();
      this.#submit();
    } else if (event.key === "ArrowUp" && !this.field.value && lastSent) {
      event.preventDefault();
      this.put(lastSent);
    }
  }

  #fail(text) {
    this.error.textContent = text ?? "";
    this.error.hidden = !text;
    if (text) this.field.setAttribute("aria-invalid", "true");
    else this.field.removeAttribute("aria-invalid");
  }

  async #submit() {
    const text = this.field.value.trim();
    if (!text) return;
    const command = text.startsWith("/") ? commandOf(text) : null;
    const refusal = command && this.#refusal(command);
    if (refusal) return this.#fail(refusal);
    lastSent = text;
    this.put("");
    this.#fail(null);
    const { channel, thread } = this.#where;
    this.element.setAttribute("aria-busy", "true");
    const answer = command
      ? await send("slash", { user: person(), channel, command: command.name, text: command.text })
      : await send("say", { user: person(), channel, text, ...(thread ? { thread_ts: thread } : {}) });
    this.element.removeAttribute("aria-busy");
    if (answer.ok) return this.onSent(text);
    if (command) toast(`${command.name} failed with the error “${answer.error}”`);
    else {
      if (!this.field.value) this.put(text);
      this.#fail(`Your message was not sent: ${reasonFor(answer)}.`);
    }
  }

  // Slack's own texts.
  #refusal({ name, known }) {
    if (this.#where.thread) return `${name} is not supported in threads. Sorry!`;
    if (known || !world.isReady) return null;
    return `${name} is not a valid command. In Slack, all messages that start with the “/” character are interpreted as commands. If you are trying to send a message and not run a command, try preceding the “/” with an empty space.`;
  }
}

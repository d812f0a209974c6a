// The right column: one thread with its own composer.

import { read, send } from "../api.js";
import { fill, h, iconButton } from "../dom.js";
import { navigate, place } from "../route.js";
import { coalesced } from "../stream.js";
import { reasonFor } from "../toasts.js";
import { channelLabel, person, world } from "../world.js";
import { Composer } from "./composer.js";
import { Feed } from "./feed.js";

export class ThreadPane {
  #shown = null;

  constructor(element) {
    this.element = element;
    this.feed = new Feed({ label: "Thread", channel: () => place.channel, inThread: true });
    this.composer = new Composer({ onSent: () => this.feed.toEnd() });
    this.where = h("span", { class: "thread-where" });
    this.header = h("header", { class: "pane-header" }, h("h2", null, "Thread"), this.where, h("span", { class: "spacer" }), iconButton("close", "Close thread", () => this.close()));
    this.strip = h("div", { class: "working", role: "status", hidden: true });
    this.foot = h("footer", { class: "pane-foot" }, this.strip, this.composer.element);
    fill(element, this.header, this.feed.element, this.foot);
    this.refresh = coalesced(() => this.#read());
  }

  get isOpen() {
    return !this.element.hidden;
  }

  close() {
    if (place.thread) navigate({ channel: place.channel });
  }

  showRoute() {
    this.element.hidden = !place.thread;
    document.getElementById("shell").classList.toggle("with-thread", Boolean(place.thread));
    const key = place.thread && `${person()}/${place.channel}/${place.thread}`;
    const isNew = key !== this.#shown;
    this.#shown = key;
    if (!key) return;
    const channel = world.channels.get(place.channel);
    this.where.textContent = channelLabel(channel);
    this.composer.element.hidden = Boolean(channel?.is_archived);
    if (isNew) {
      this.strip.hidden = true;
      this.feed.clear("Thread messages");
      this.composer.place({ channel: place.channel, thread: place.thread }, "Reply in thread");
      if (matchMedia("(hover: hover)").matches) this.composer.focus();
    }
    this.refresh();
  }

  // The native status of an agent's thread, with Slack's stop button.
  #working(session) {
    this.strip.hidden = session?.status !== "processing";
    if (this.strip.hidden) return;
    const body = { user: person(), channel: place.channel, thread_ts: place.thread };
    fill(this.strip, h("span", null, `${world.bot.name} is working…`), h("button", { type: "button", class: "button small", onclick: () => send("stop", body) }, "Stop"));
  }

  async #read() {
    const { channel, thread } = place;
    if (!thread) return;
    const answer = await read("thread", { channel, ts: thread, user: person() });
    if (channel !== place.channel || thread !== place.thread) return;
    if (!answer.ok) {
      this.where.textContent = `could not be read: ${reasonFor(answer)}`;
      return;
    }
    this.feed.show(answer.messages);
    this.#working(answer.messages[0]?.agent_session);
  }
}

// The middle column: a channel's header, messages and composer.

import { read, send } from "../api.js";
import { fill, h, icon, iconButton } from "../dom.js";
import { place } from "../route.js";
import { coalesced } from "../stream.js";
import { reasonFor, toast } from "../toasts.js";
import { channelLabel, isApp, markRead, partner, person, titleOf, world } from "../world.js";
import { Composer } from "./composer.js";
import { Feed } from "./feed.js";
import { hint } from "./hint.js";
import { Home } from "./home.js";

export class ChannelPane {
  #shown = null;

  constructor(element, { openSidebar, inspectorButton }) {
    this.element = element;
    this.header = h("header", { class: "pane-header" });
    this.feed = new Feed({ label: "Messages", channel: () => place.channel, inThread: false, intro: () => introduction(world.channels.get(place.channel)) });
    this.composer = new Composer({ onSent: (text) => (this.feed.toEnd(), this.hint.sent(text)) });
    this.hint = hint((text) => this.composer.put(text));
    this.note = h("p", { class: "channel-note", hidden: true });
    this.foot = h("footer", { class: "pane-foot" }, this.hint.element, this.composer.element, this.note);
    this.home = new Home();
    this.menu = iconButton("menu", "Open sidebar", openSidebar, { class: "icon-button only-narrow" });
    this.inspectorButton = inspectorButton;
    fill(element, this.header, this.home.element, this.feed.element, this.foot);
    this.refresh = coalesced(() => this.#read());
  }

  // The route, the person or the channel's marks changed.
  showRoute() {
    const channel = world.channels.get(place.channel);
    const key = `${person()}/${place.isHome ? "home" : place.channel}`;
    const isNew = key !== this.#shown;
    this.#shown = key;
    const withApp = place.isHome || (channel?.is_im && isApp(partner(channel)));
    this.element.setAttribute("aria-label", place.isHome ? `${world.bot.name} home` : channelLabel(channel));
    document.title = `${place.isHome ? world.bot.name : channelLabel(channel)} · ${world.team.name}`;
    fill(this.header, this.menu, place.isHome ? h("h1", null, world.bot.name) : title(channel), withApp && tabs(), h("span", { class: "spacer" }), this.#marks(channel), this.inspectorButton);
    this.home.element.hidden = !place.isHome;
    this.feed.element.hidden = place.isHome;
    this.foot.hidden = place.isHome;
    if (place.isHome) return this.home.open();
    if (!channel) return undefined;
    const isClosed = channel.is_archived;
    this.composer.element.hidden = isClosed;
    this.note.hidden = !isClosed;
    this.note.textContent = `#${channel.name} is archived: nobody can write here.`;
    this.hint.update();
    if (isClosed || !channel.bot_is_member) this.hint.element.hidden = true;
    if (isNew) {
      this.feed.clear(`Messages in ${channelLabel(channel)}`);
      this.composer.place({ channel: channel.id, thread: null }, channel.is_im ? `Message ${titleOf(channel)}` : `Message #${channel.name}`);
      if (matchMedia("(hover: hover)").matches && !place.thread) this.composer.focus();
    }
    return this.refresh();
  }

  async #read() {
    const channel = place.channel;
    if (!channel || place.isHome) return;
    const answer = await read("messages", { channel, user: person() });
    if (channel !== place.channel) return;
    if (!answer.ok) {
      toast(`#${titleOf(world.channels.get(channel))} could not be read: ${reasonFor(answer)}.`);
      return;
    }
    const top = answer.messages.filter((one) => !one.thread_ts || one.thread_ts === one.ts || one.subtype === "thread_broadcast");
    this.feed.show(top);
    markRead(channel);
  }

  #marks(channel) {
    if (!channel || channel.is_im || place.isHome) return null;
    const { name } = world.bot;
    if (channel.is_archived) return h("span", { class: "mark" }, icon("archive"), "archived");
    const shared = channel.is_ext_shared && h("span", { class: "mark", title: "Shared with another company" }, icon("shared"), h("span", null, "shared", h("span", { class: "wide-only" }, " with another company")));
    if (channel.bot_is_member) return [shared, h("span", { class: "mark mark-good wide-only" }, `${name} is here`)];
    const invite = async () => {
      const answer = await send("join", { channel: channel.id });
      if (!answer.ok) toast(`${name} was not invited: ${reasonFor(answer)}.`);
    };
    return [shared, h("button", { type: "button", class: "button small", onclick: invite }, `Invite @${name}`)];
  }
}

function title(channel) {
  const sign = !channel || channel.is_im ? null : icon(channel.is_private ? "lock" : "hash");
  return h("h1", null, sign, titleOf(channel) || "No such channel");
}

// The text above a channel's first message.
function introduction(channel) {
  const { name } = world.bot;
  if (channel.is_im) return ["Between you and ", h("strong", null, name), ". Commands and mentions work here too."];
  const start = ["This is the beginning of ", h("strong", null, channelLabel(channel)), "."];
  if (channel.is_archived) return start;
  if (!channel.bot_is_member) return [...start, ` ${name} is not in this channel yet: invite it to use it here.`];
  return [...start, ` Mention @${name}, or type / for its commands.`];
}

function tabs() {
  const direct = [...world.channels.values()].find((channel) => channel.is_im && isApp(partner(channel)));
  const tab = (label, href, isHere) => h("a", { href, "aria-current": isHere ? "page" : null }, label);
  return h("nav", { class: "tabs", "aria-label": "App views" }, tab("Home", "#/home", place.isHome), direct && tab("Messages", `#/${direct.id}`, !place.isHome));
}

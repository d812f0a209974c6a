// The left column: the workspace, the current person, channels, the app.

import { avatar } from "./avatar.js";
import { fill, h, icon } from "./dom.js";
import { openMenu } from "./popover.js";
import { place } from "./route.js";
import { actAs, channelLabel, isApp, nameOf, partner, titleOf, world } from "./world.js";

export class Sidebar {
  #isLive = true;

  constructor(element) {
    this.element = element;
  }

  setLive(isLive) {
    this.#isLive = isLive;
    this.draw();
  }

  draw() {
    if (!world.isReady) return;
    const all = [...world.channels.values()];
    const rooms = all.filter((channel) => !channel.is_im && (!channel.is_private || channel.is_member !== false));
    const open = rooms.filter((channel) => !channel.is_archived);
    const archived = rooms.filter((channel) => channel.is_archived);
    const direct = all.filter((channel) => channel.is_im && !isApp(partner(channel)));
    fill(
      this.element,
      h("div", { class: "workspace" }, h("span", { class: "workspace-sign", "aria-hidden": "true" }, world.team.name.slice(0, 1)), h("div", null, h("strong", null, world.team.name), h("span", { class: "workspace-note" }, "Slack sandbox"))),
      this.#person(),
      h(
        "div",
        { class: "sidebar-lists" },
        group("Channels", open.map(room)),
        direct.length ? group("Direct messages", direct.map(conversation)) : null,
        group("Apps", [app(all)]),
        archived.length ? group("Archived", archived.map(room)) : null,
      ),
      h("p", { class: `live ${this.#isLive ? "" : "live-off"}` }, h("i", { "aria-hidden": "true" }), this.#isLive ? "Live" : "Reconnecting…"),
    );
  }

  #person() {
    const people = [...world.users.values()].filter((user) => !user.is_bot);
    const items = people.map((user) => ({ label: nameOf(user.id), description: kindOf(user), choose: () => actAs(user.id) }));
    const me = world.me;
    const button = h(
      "button",
      { type: "button", class: "person", "aria-label": `You are: ${nameOf(me.id)}. Switch person`, "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => openMenu(button, "Act as", items) },
      avatar(me.id, "small"),
      h("span", { class: "person-words" }, h("span", { class: "person-lead" }, "you are"), h("span", { class: "person-name" }, nameOf(me.id)), h("span", { class: "person-kind" }, kindOf(me))),
      icon("chevron"),
    );
    return button;
  }
}

function kindOf(user) {
  if (user.team_id && user.team_id !== world.team.id) return "another company";
  if (user.is_restricted || user.is_ultra_restricted) return "guest";
  return user.is_admin ? "admin" : "member";
}

const group = (label, items) => h("section", { class: "sidebar-group", "aria-label": label }, h("h2", null, label), h("ul", null, items.map((item) => h("li", null, item))));

function entry(href, isHere, lead, label, { unread = false, muted = false, mark = null } = {}) {
  const classes = ["entry", unread && "unread", muted && "muted"].filter(Boolean).join(" ");
  return h("a", { href, class: classes, "aria-current": isHere ? "page" : null }, lead, h("span", { class: "entry-label" }, label), mark, unread && h("span", { class: "dot", role: "img", "aria-label": "unread" }));
}

function room(channel) {
  const marks = [channel.is_ext_shared && sign("shared", "shared with another company"), channel.is_archived && sign("archive", "archived")].filter(Boolean);
  return entry(`#/${channel.id}`, place.channel === channel.id, channel.is_private ? sign("lock", "private") : icon("hash"), titleOf(channel), {
    unread: world.unread.has(channel.id),
    muted: channel.is_archived || !channel.bot_is_member,
    mark: marks,
  });
}

function sign(name, label) {
  return h("span", { class: "sign", role: "img", "aria-label": label, title: label }, icon(name));
}

const conversation = (channel) => entry(`#/${channel.id}`, place.channel === channel.id, avatar(partner(channel), "tiny"), channelLabel(channel), { unread: world.unread.has(channel.id) });

function app(all) {
  const direct = all.find((channel) => channel.is_im && isApp(partner(channel)));
  const isHere = place.isHome || (direct && place.channel === direct.id);
  return entry("#/home", isHere, avatar(world.bot.id, "tiny"), world.bot.name, { unread: direct && world.unread.has(direct.id) });
}

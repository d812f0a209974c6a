// Slack's references between < and >: people, channels, groups, dates, addresses.

import { h } from "../dom.js";
import { formatDate, fullTimeOf } from "../time.js";
import { nameOf, world } from "../world.js";
import { link, safeUrl } from "./links.js";

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };

export const unescape = (text) => text.replace(/&(?:amp|lt|gt);/g, (entity) => ENTITIES[entity]);

export function mention(userId, label) {
  const mine = userId === world.me?.id ? " mention-me" : "";
  return h("span", { class: `mention${mine}` }, `@${label || nameOf(userId)}`);
}

export function channelMention(channelId, label) {
  const channel = world.channels.get(channelId);
  const name = channel?.name ?? label ?? channelId;
  if (!channel) return h("span", { class: "mention" }, `#${name}`);
  return h("a", { class: "mention", href: `#/${channelId}` }, `#${name}`);
}

export const broadcast = (name) => h("span", { class: "mention mention-me" }, `@${name}`);

export function date(ts, format, fallback, url) {
  const shown = /^\d+$/.test(ts) ? formatDate(ts, format) : null;
  if (shown === null) return document.createTextNode(fallback);
  const time = h("time", { dataset: { ts, format }, title: fullTimeOf(ts) }, shown);
  return url ? link(url, time) : time;
}

// `inside` is the escaped text between the angle brackets; the result is null if it is not a reference.
export function reference(inside) {
  const bar = inside.indexOf("|");
  const target = unescape(bar < 0 ? inside : inside.slice(0, bar));
  const label = bar < 0 ? "" : unescape(inside.slice(bar + 1));
  if (/^@[UW]\w+$/.test(target)) return mention(target.slice(1), label);
  if (/^#[CGD]\w+$/.test(target)) return channelMention(target.slice(1), label);
  if (target.startsWith("!")) return special(target.slice(1), label);
  return safeUrl(target) ? link(target, label || target.replace(/^mailto:/, "")) : null;
}

function special(command, label) {
  if (command.startsWith("date^")) {
    const [, ts, format = "{date}", url] = command.split("^");
    return date(ts, format, label, url);
  }
  if (/^(here|channel|everyone|group)$/.test(command)) return broadcast(command);
  if (command.startsWith("subteam^")) return h("span", { class: "mention" }, label || `@${command.slice(8)}`);
  return document.createTextNode(label || `<${command}>`);
}

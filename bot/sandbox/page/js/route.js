// The current view, stored in the address: #/C123, #/C123/1769220155.940449, #/home.

import { notify, world } from "./world.js";

export const place = { channel: null, thread: null, isHome: false };

function parse() {
  const [channel, thread] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  if (channel === "home") return { channel: null, thread: null, isHome: true };
  return { channel: idOf(channel), thread: thread || null, isHome: false };
}

function idOf(nameOrId) {
  if (world.channels.has(nameOrId)) return nameOrId;
  const found = [...world.channels.values()].find((channel) => channel.name === nameOrId && nameOrId);
  return (found ?? startChannel())?.id ?? null;
}

// The first channel to show: one with both the person and the app as members; #builds before others.
function startChannel() {
  const channels = [...world.channels.values()].filter((channel) => !channel.is_im && !channel.is_archived);
  const usable = channels.filter((channel) => channel.is_member !== false && channel.bot_is_member);
  return usable.find((channel) => channel.name === "builds") ?? usable[0] ?? channels[0];
}

export function navigate({ channel = null, thread = null, home = false }) {
  const hash = home ? "#/home" : `#/${channel}${thread ? `/${thread}` : ""}`;
  if (location.hash === hash) showRoute();
  else location.hash = hash;
}

export function showRoute() {
  Object.assign(place, parse());
  notify("place");
}

export function watchAddress() {
  addEventListener("hashchange", showRoute);
  showRoute();
}

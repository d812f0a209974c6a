// The page's model of the workspace, and the subscribers to its changes.

import { read } from "./api.js";

const PERSON_KEY = "sandbox.person";

export const world = {
  team: { id: "", name: "…" },
  me: null,
  bot: { id: "", name: "" },
  users: new Map(),
  channels: new Map(),
  commands: [],
  shortcuts: [],
  views: [],
  unread: new Set(),
  isReady: false,
};

const changes = new EventTarget();

// Topics: "world" (re-read), "person" (acting as somebody else), "unread", "place", "live" (stream up or down).
export const on = (topic, listener) => changes.addEventListener(topic, (event) => listener(event.detail));
export const notify = (topic, detail) => changes.dispatchEvent(new CustomEvent(topic, { detail }));

// /?as=ben opens the page as ben.  Each tab has its own person, so two can be used side by side.
const personInUrl = () => new URLSearchParams(location.search).get("as");

export const person = () => world.me?.id ?? personInUrl() ?? sessionStorage.getItem(PERSON_KEY) ?? undefined;

export async function readWorld() {
  const answer = await read("state", { user: person() });
  if (!answer.ok) {
    if (answer.error === "user_not_found") forgetPerson();
    return false;
  }
  const users = answer.users.map((user) => [user.id, user]);
  const me = typeof answer.me === "string" ? answer.me : answer.me?.id;
  Object.assign(world, {
    team: answer.team,
    bot: answer.bot,
    users: new Map(users),
    channels: new Map(answer.channels.map((channel) => [channel.id, channel])),
    commands: answer.commands ?? [],
    shortcuts: answer.shortcuts ?? [],
    views: answer.views ?? [],
    isReady: true,
  });
  world.me = world.users.get(me) ?? { id: me, name: me };
  notify("world");
  return true;
}

function forgetPerson() {
  sessionStorage.removeItem(PERSON_KEY);
  if (personInUrl()) history.replaceState(null, "", location.pathname + location.hash);
}

export async function actAs(userId) {
  forgetPerson();
  sessionStorage.setItem(PERSON_KEY, userId);
  world.me = world.users.get(userId) ?? { id: userId };
  world.unread.clear();
  await readWorld();
  notify("person");
}

export function nameOf(userId) {
  const user = world.users.get(userId);
  return user?.real_name || user?.name || (userId === world.bot.id ? world.bot.name : userId) || "somebody";
}

export const isApp = (userId) => userId === world.bot.id || Boolean(world.users.get(userId)?.is_bot);

// The person of a direct-message channel; otherwise the app.
export const partner = (channel) => channel.user ?? channel.with ?? world.bot.id;

export function titleOf(channel) {
  if (!channel) return "";
  return channel.is_im ? nameOf(partner(channel)) : channel.name;
}

export const channelLabel = (channel) => (channel?.is_im ? titleOf(channel) : `#${titleOf(channel)}`);

export function markUnread(channelId) {
  if (world.unread.has(channelId)) return;
  world.unread.add(channelId);
  notify("unread");
}

export function markRead(channelId) {
  if (world.unread.delete(channelId)) notify("unread");
}

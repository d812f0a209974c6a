// The composer's suggestions while a person types: commands, people, channels.

import { avatar } from "../avatar.js";
import { nameOf, world } from "../world.js";

const MAX_SUGGESTIONS = 8;

const matches = (text, typed) => text.toLowerCase().includes(typed.toLowerCase());

// A match in an item's short name ranks before a match in its long name.
const byLabelMatch = (typed) => (one, other) => labelScore(other, typed) - labelScore(one, typed);
const labelScore = (item, typed) => Number(matches(item.label, typed));

// → {from, to, items}: replace text[from:to] by an item's `insert`; or null.
export function suggestions(text, caret) {
  const before = text.slice(0, caret);
  const command = /^\/(\S*)$/.exec(before);
  if (command) return { from: 0, to: caret, items: commands(before) };
  const word = /(?:^|[\s(])([@#])([\p{L}\p{N}._-]*)$/u.exec(before);
  if (!word) return null;
  const items = word[1] === "@" ? people(word[2]) : channels(word[2]);
  return { from: caret - word[2].length - 1, to: caret, items: items.slice(0, MAX_SUGGESTIONS) };
}

const commands = (typed) =>
  world.commands
    .filter((one) => one.command.startsWith(typed))
    .map((one) => ({ label: one.command, hint: one.usage_hint, detail: one.description, insert: `${one.command} ` }));

const people = (typed) =>
  [...world.users.values()]
    .filter((user) => matches(`${user.name} ${user.real_name ?? ""}`, typed))
    .map((user) => ({ label: `@${user.name}`, detail: nameOf(user.id), lead: avatar(user.id, "tiny"), insert: `@${user.name} ` }))
    .sort(byLabelMatch(`@${typed || world.bot.name}`));

const channels = (typed) =>
  [...world.channels.values()]
    .filter((channel) => !channel.is_im && matches(channel.name, typed))
    .map((channel) => ({ label: `#${channel.name}`, insert: `#${channel.name} ` }))
    .sort(byLabelMatch(`#${typed}`));

// The command at the start of a text, once its name is complete.
export function commandOf(text) {
  const name = /^\/\S+/.exec(text)?.[0];
  return name ? { name, known: world.commands.find((one) => one.command === name), text: text.slice(name.length).trim() } : null;
}

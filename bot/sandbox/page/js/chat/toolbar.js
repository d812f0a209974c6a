// The actions on a message: react, reply, the app's shortcuts.

import { send } from "../api.js";
import { h, iconButton } from "../dom.js";
import { openMenu } from "../popover.js";
import { navigate } from "../route.js";
import { emoji } from "../text/emoji.js";
import { reasonFor, toast } from "../toasts.js";
import { person, world } from "../world.js";
import { QUICK_REACTIONS, react } from "./reactions.js";

export function toolbar(message, channel, inThread) {
  const reactButton = iconButton("smile", "Add reaction", () => openMenu(reactButton, "Reactions", QUICK_REACTIONS.map((name) => ({ label: `${emoji(name)}  :${name}:`, choose: () => react(message, channel, name) }))));
  const moreButton = iconButton("more", "More actions", () => openMenu(moreButton, "Message actions", actions(message, channel)), { "aria-haspopup": "menu", "aria-expanded": "false" });
  return h(
    "div",
    { class: "toolbar", role: "group", "aria-label": "Message tools" },
    reactButton,
    !inThread && iconButton("reply", "Reply in thread", () => navigate({ channel, thread: message.thread_ts ?? message.ts })),
    moreButton,
  );
}

function actions(message, channel) {
  const shortcuts = world.shortcuts.filter((shortcut) => shortcut.type === "message" || shortcut.type === "message_action");
  return [
    ...shortcuts.map((shortcut) => ({ label: shortcut.name, description: world.bot.name, choose: () => runShortcut(shortcut, message, channel) })),
    { label: "Copy text", choose: () => copy(message.text ?? "") },
    { label: "Copy timestamp", description: message.ts, choose: () => copy(message.ts) },
  ];
}

async function runShortcut(shortcut, message, channel) {
  const answer = await send("shortcut", { user: person(), channel, ts: message.ts, callback_id: shortcut.callback_id });
  if (!answer.ok) toast(`“${shortcut.name}” did not get through: ${reasonFor(answer)}.`);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.", { kind: "good" });
  } catch {
    toast("The browser did not allow copying.");
  }
}

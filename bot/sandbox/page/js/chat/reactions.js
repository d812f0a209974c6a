import { send } from "../api.js";
import { h } from "../dom.js";
import { emoji } from "../text/emoji.js";
import { reasonFor, toast } from "../toasts.js";
import { nameOf, person, world } from "../world.js";

export const QUICK_REACTIONS = ["+1", "eyes", "white_check_mark", "tada", "heart", "thinking_face"];

export async function react(message, channel, name) {
  const answer = await send("react", { user: person(), channel, ts: message.ts, name });
  if (!answer.ok && answer.error !== "already_reacted") toast(`The reaction was not added: ${reasonFor(answer)}.`);
}

export function reactions(message, channel) {
  if (!message.reactions?.length) return null;
  return h(
    "div",
    { class: "reactions", role: "group", "aria-label": "Reactions" },
    message.reactions.map((reaction) => {
      const users = reaction.users ?? [];
      const isMine = users.includes(world.me?.id);
      const count = reaction.count ?? users.length;
      return h(
        "button",
        { type: "button", class: "reaction", "aria-pressed": String(isMine), "aria-label": `${reaction.name}, ${count}`, title: `${users.map(nameOf).join(", ")} :${reaction.name}:`, onclick: () => react(message, channel, reaction.name) },
        h("span", { class: "emoji" }, emoji(reaction.name) ?? `:${reaction.name}:`),
        String(count),
      );
    }),
  );
}

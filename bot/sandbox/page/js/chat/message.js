// One message: author, time, text or blocks, files, reactions, replies.

import { send } from "../api.js";
import { avatar } from "../avatar.js";
import { blocks } from "../blocks/blocks.js";
import { FormState } from "../blocks/form.js";
import { h, icon } from "../dom.js";
import { navigate } from "../route.js";
import { markdown } from "../text/markdown.js";
import { mrkdwn } from "../text/mrkdwn.js";
import { formatDate, fullTimeOf, timeOf } from "../time.js";
import { isApp, nameOf, person, world } from "../world.js";
import { files } from "./files.js";
import { reactions } from "./reactions.js";
import { toolbar } from "./toolbar.js";

const LAST_REPLY = "last reply {ago}";

const forms = new Map();

function formOf(key) {
  if (!forms.has(key)) forms.set(key, new FormState());
  return forms.get(key);
}

// The actions of the elements in a message.
function surfaceOf(message, channel) {
  const form = formOf(`${channel}/${message.ts}`);
  const body = (block, element) => ({ user: person(), channel, ts: message.ts, block_id: block.block_id, action_id: element.action_id });
  return {
    form,
    currentChannel: () => channel,
    act: (block, element, { type, ...state }) => send("click", { ...body(block, element), ...state, state: { values: form.values(message.blocks) } }),
    suggest: async () => ({ ok: false, error: "not_in_messages" }),
  };
}

export function drawMessage(message, { channel, inThread, compact }) {
  const author = authorOf(message);
  if (isNotice(message)) return notice(message, author);
  const label = `${message.ephemeral ? "Only visible to you: " : ""}${author} at ${timeOf(message.ts)}`;
  const classes = ["message", compact && "compact", message.ephemeral && "ephemeral"].filter(Boolean).join(" ");
  const time = h("time", { class: "message-time", datetime: new Date(Number(message.ts) * 1000).toISOString(), title: fullTimeOf(message.ts) }, timeOf(message.ts));
  return h(
    "li",
    { class: classes, dataset: { ts: message.ts } },
    h(
      "article",
      // A finger gives it the focus, which shows its tools; not every browser takes a touch for hovering.
      { "aria-label": label, tabindex: "-1" },
      h("div", { class: "message-side" }, compact ? time : avatar(message.user ?? world.bot.id)),
      h(
        "div",
        { class: "message-main" },
        message.ephemeral && h("p", { class: "only-you" }, icon("eye"), "Only visible to you"),
        message.subtype === "thread_broadcast" && h("p", { class: "only-you" }, icon("reply"), "Also sent to the channel"),
        !compact && h("header", null, h("span", { class: "author" }, author), isApp(message.user) || message.bot_id ? h("span", { class: "app-mark" }, "App") : null, time),
        h("div", { class: "message-body" }, body(message, channel)),
        files(message),
        reactions(message, channel),
        !inThread && replies(message, channel),
      ),
      !message.ephemeral && toolbar(message, channel, inThread),
    ),
  );
}

export const authorOf = (message) => message.username ?? (message.user ? nameOf(message.user) : (message.bot_profile?.name ?? world.bot.name));

const isNotice = (message) => /^(channel|group)_(join|leave|archive|unarchive|topic|purpose|name)$|^tombstone$/.test(message.subtype ?? "");

const notice = (message, author) =>
  h("li", { class: "message notice", dataset: { ts: message.ts } }, h("article", { "aria-label": `Notice at ${timeOf(message.ts)}` }, h("span", { class: "author" }, author), mrkdwn(message.text || "joined")));

function body(message, channel) {
  const parts = [];
  const surface = surfaceOf(message, channel);
  // A person's message has rich_text of the same content; its text has mentions by name.
  const own = message.blocks?.length && !(message.blocks.every((block) => block.type === "rich_text") && !message.bot_id);
  if (own) parts.push(blocks(message.blocks, surface));
  else if (message.text) parts.push(message.streaming_state ? markdown(message.text) : mrkdwn(message.text));
  for (const attachment of message.attachments ?? []) {
    parts.push(h("div", { class: "attachment" }, attachment.blocks ? blocks(attachment.blocks, surface) : mrkdwn(attachment.text ?? attachment.fallback)));
  }
  if (message.edited && !own) parts.push(h("span", { class: "edited" }, "(edited)"));
  return parts;
}

function replies(message, channel) {
  if (!message.reply_count) return null;
  const count = `${message.reply_count} ${message.reply_count === 1 ? "reply" : "replies"}`;
  return h(
    "button",
    { type: "button", class: "replies", "aria-label": `${count}, open thread`, onclick: () => navigate({ channel, thread: message.ts }) },
    h("span", { class: "reply-faces" }, (message.reply_users ?? []).slice(0, 4).map((user) => avatar(user, "tiny"))),
    h("span", { class: "reply-count" }, count),
    message.latest_reply && h("time", { class: "reply-last", dataset: { ts: message.latest_reply, format: LAST_REPLY } }, formatDate(message.latest_reply, LAST_REPLY)),
  );
}

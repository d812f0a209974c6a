// Text objects of Block Kit: plain_text or mrkdwn.

import { h } from "../dom.js";
import { withEmoji } from "./emoji.js";
import { mrkdwn } from "./mrkdwn.js";

export const plain = (object) => {
  const text = typeof object === "string" ? object : (object?.text ?? "");
  return object?.emoji === false ? text : withEmoji(text);
};

export function textObject(object) {
  if (object?.type === "mrkdwn") return mrkdwn(object.text, object);
  return h("div", { class: "text plain" }, plain(object));
}

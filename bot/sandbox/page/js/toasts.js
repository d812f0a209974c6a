// Short notices in a corner: what failed, and why.

import { h, iconButton } from "./dom.js";

const SHOWN_MS = 9_000;

export function toast(text, { kind = "error" } = {}) {
  const box = document.getElementById("toasts");
  const close = () => note.remove();
  const note = h("div", { class: `toast toast-${kind}` }, h("p", null, text), iconButton("close", "Dismiss notice", close));
  box.append(note);
  while (box.children.length > 4) box.firstChild.remove();
  let timer = setTimeout(close, SHOWN_MS);
  note.addEventListener("pointerenter", () => clearTimeout(timer));
  note.addEventListener("pointerleave", () => (timer = setTimeout(close, SHOWN_MS / 2)));
}

const REASONS = {
  offline: "the sandbox's server did not answer",
  operation_timeout: "the app did not acknowledge it within 3 seconds",
  no_listener: "the app is not connected",
  app_not_connected: "the app is not connected",
  is_archived: "this channel is archived",
  not_in_channel: "you are not in this channel",
  expired_trigger_id: "the trigger was older than 3 seconds",
};

export const reasonFor = (answer) => REASONS[answer?.error] ?? answer?.error ?? "unknown error";

// Indented JSON with classes for keys and types of values.

import { h } from "../dom.js";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MAX_CHARACTERS = 60_000;

export function json(value) {
  if (value === undefined || value === null || value === "") return h("p", { class: "json-none" }, "nothing");
  const whole = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const text = whole.length > MAX_CHARACTERS ? `${whole.slice(0, MAX_CHARACTERS)}\n… ${whole.length - MAX_CHARACTERS} characters more` : whole;
  const code = h("code");
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > at) code.append(text.slice(at, match.index));
    const [piece, string, colon] = match;
    const kind = string ? (colon ? "json-key" : "json-string") : "json-literal";
    code.append(h("span", { class: kind }, string ?? piece), colon ?? "");
    at = match.index + piece.length;
  }
  code.append(text.slice(at));
  return h("pre", { class: "json" }, code);
}

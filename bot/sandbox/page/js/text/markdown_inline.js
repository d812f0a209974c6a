// Inline Markdown: **bold**, *italic*, ~~strike~~, `code`, [links](https://…), emoji.

import { h } from "../dom.js";
import { emoji, SHORTCODE } from "./emoji.js";
import { BARE_URL, link } from "./links.js";
import { unescape } from "./mentions.js";
import { codeOf } from "./mrkdwn.js";

const PATTERN = new RegExp(
  [
    "\\\\([\\\\`*_{}\\[\\]()#+.!|~>-])", // 1 escaped sign
    "(`+)([\\s\\S]*?[^`])\\2(?!`)", // 2 ticks, 3 code
    "(!?)\\[([^\\[\\]\\n]*)\\]\\(\\s*<?([^\\s()<>]*(?:\\([^\\s()]*\\)[^\\s()<>]*)*)>?(?:\\s+[\"'][^\"'\\n]*[\"'])?\\s*\\)", // 4 image?, 5 label, 6 address
    "(\\*\\*\\*|___)(?=\\S)([^\\n]*?\\S)\\7", // 7, 8 both
    "(\\*\\*|__)(?=\\S)([^\\n]*?\\S)\\9", // 9, 10 bold
    "~~(?=\\S)([^\\n]*?\\S)~~", // 11 strike
    "\\*(?=[^\\s*])([^*\\n]*?[^\\s*])\\*", // 12 italic
    "(?<![\\p{L}\\p{N}_])_(?=[^\\s_])([^_\\n]*?[^\\s_]|[^\\s_])_(?![\\p{L}\\p{N}_])", // 13 italic
    "<(https?:[^\\s<>]+)>", // 14 address in brackets
    `(${BARE_URL.source})`, // 15 bare address
    SHORTCODE.source, // 16
  ].join("|"),
  "gu",
);
const MAX_DEPTH = 8;

export function inline(text, depth = 0) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(PATTERN)) {
    const node = draw(match, depth);
    if (node === null) continue;
    if (match.index > at) nodes.push(unescape(text.slice(at, match.index)));
    nodes.push(node);
    at = match.index + match[0].length;
  }
  if (at < text.length) nodes.push(unescape(text.slice(at)));
  return nodes;
}

function draw(match, depth) {
  const [, escaped, ticks, code, image, label, url, , both, , bold, strike, star, under, bracketed, bare, name] = match;
  const inner = (text) => (depth < MAX_DEPTH ? inline(text, depth + 1) : [text]);
  if (escaped !== undefined) return escaped;
  if (ticks !== undefined) return codeOf(unescape(code.trim() || code));
  if (url !== undefined) return link(unescape(url), ...(image ? ["🖼 "] : []), ...(label ? inner(label) : [url]));
  if (both !== undefined) return h("strong", null, h("em", null, ...inner(both)));
  if (bold !== undefined) return h("strong", null, ...inner(bold));
  if (strike !== undefined) return h("s", null, ...inner(strike));
  const italic = star ?? under;
  if (italic !== undefined) return h("em", null, ...inner(italic));
  const address = bracketed ?? bare;
  if (address !== undefined) return link(unescape(address), unescape(address));
  const sign = emoji(name);
  return sign && h("span", { class: "emoji", title: `:${name}:` }, sign);
}

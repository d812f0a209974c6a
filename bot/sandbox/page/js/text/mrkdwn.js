// Slack's mrkdwn as nodes: *bold* _italic_ ~strike~ `code` ```fences``` > quotes, references, emoji.

import { h } from "../dom.js";
import { emoji, SHORTCODE } from "./emoji.js";
import { BARE_URL, link } from "./links.js";
import { reference, unescape } from "./mentions.js";

const MARKS = { "*": "strong", _: "em", "~": "s" };
const TOKEN = new RegExp(
  ["`([^`\\n]+)`", "<([^<>\\n]+)>", SHORTCODE.source, `(${BARE_URL.source})`, "([*_~])"].join("|"),
  "g",
);
const MAX_DEPTH = 8;
const MAX_SPAN = 2_000;
const MAX_CLOSINGS = 4;

// `verbatim`: bare addresses stay text.
export function mrkdwn(text, { verbatim = false } = {}) {
  const root = h("div", { class: "text mrkdwn" });
  const pieces = String(text ?? "").split(/```([\s\S]*?)```/);
  pieces.forEach((piece, index) => {
    if (index % 2) root.append(fence(unwrapped(piece)));
    else lines(piece, root, { verbatim, afterFence: index > 0, beforeFence: index < pieces.length - 1 });
  });
  return root;
}

// Short code does not break at its hyphens.
export const codeOf = (text) => h("code", { class: text.length <= 24 ? "code whole" : "code" }, text);

export const fence = (text) => h("pre", { class: "fence" }, h("code", null, text.replace(/^\n|\n$/g, "")));

// In code Slack shows references as they are typed, but an address without its brackets.
const unwrapped = (text) =>
  unescape(text.replace(/<((?:https?:|mailto:)[^<>|\n]+)(?:\|([^<>\n]*))?>/g, (_, url, label) => label || url));

function lines(text, root, { verbatim, afterFence, beforeFence }) {
  const all = text.split("\n");
  if (afterFence && all[0].trim() === "") all.shift();
  if (beforeFence && all.length && all.at(-1).trim() === "") all.pop();
  let quote = null;
  for (const line of all) {
    const quoted = /^(?:&gt;|>)\s?(.*)$/.exec(line);
    if (quoted) {
      quote ??= root.appendChild(h("blockquote"));
      quote.append(row(quoted[1], verbatim));
    } else {
      quote = null;
      root.append(row(line, verbatim));
    }
  }
}

// A list is plain text in mrkdwn: its lines only get a hanging indent.
function row(line, verbatim) {
  const item = /^(\s*)([•◦▪‣–-]|\d{1,3}[.)])\s+/.exec(line);
  const element = h("div", { class: item ? "line line-item" : "line" }, ...inline(line, { verbatim }));
  if (!line) element.append(h("br"));
  return element;
}

function inline(text, { verbatim, depth = 0 }) {
  const nodes = [];
  let at = 0;
  const plain = (to) => to > at && nodes.push(document.createTextNode(unescape(text.slice(at, to))));
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const drawn = token(match, text, { verbatim, depth });
    if (!drawn) {
      TOKEN.lastIndex = match.index + 1;
      continue;
    }
    plain(match.index);
    nodes.push(drawn.node);
    at = drawn.end;
    TOKEN.lastIndex = at;
  }
  plain(text.length);
  return nodes;
}

function token(match, text, options) {
  const [whole, code, angle, shortcode, url, mark] = match;
  const end = match.index + whole.length;
  if (code !== undefined) return { node: codeOf(unwrapped(code)), end };
  if (angle !== undefined) return found(reference(angle), end);
  if (shortcode !== undefined) return found(emoji(shortcode), end, (sign) => h("span", { class: "emoji", title: whole }, sign));
  if (url !== undefined) return options.verbatim ? null : { node: link(unescape(url), unescape(url)), end };
  return options.depth < MAX_DEPTH ? span(mark, match.index, text, options) : null;
}

const found = (value, end, draw = (node) => node) => (value ? { node: draw(value), end } : null);

// A mark opens at the start of a word and closes at the end of a word, on one line.
function span(mark, from, text, options) {
  const before = text[from - 1] ?? " ";
  if (before === mark || /[\p{L}\p{N}*~`]/u.test(before) || /\s/.test(text[from + 1] ?? " ")) return null;
  for (const to of closings(mark, from, text)) {
    const inner = text.slice(from + 1, to);
    if (inner && balanced(inner)) return { node: h(MARKS[mark], null, ...inlineNested(inner, options)), end: to + 1 };
  }
  return null;
}

// Only the next few are tried: a text full of marks must not block the page.
function closings(mark, from, text) {
  const newline = text.indexOf("\n", from);
  const end = Math.min(newline < 0 ? text.length : newline, from + MAX_SPAN);
  const found = [];
  for (let to = from + 2; to < end && found.length < MAX_CLOSINGS; to += 1) {
    if (text[to] === mark && !/\s/.test(text[to - 1]) && !/[\p{L}\p{N}]/u.test(text[to + 1] ?? " ")) found.push(to);
  }
  return found;
}

// A mark inside code or a reference does not close anything.
const balanced = (inner) =>
  (inner.match(/`/g) ?? []).length % 2 === 0 && inner.lastIndexOf("<") <= inner.lastIndexOf(">");

function inlineNested(inner, { verbatim, depth }) {
  const last = TOKEN.lastIndex;
  const nodes = inline(inner, { verbatim, depth: depth + 1 });
  TOKEN.lastIndex = last;
  return nodes;
}

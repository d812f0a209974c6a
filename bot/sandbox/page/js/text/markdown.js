// The markdown block: common Markdown as nodes.  Block structure here, inline text in markdown_inline.js.

import { h } from "../dom.js";
import { inline } from "./markdown_inline.js";
import { fence } from "./mrkdwn.js";

const FENCE = /^(\s*)(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^\s{0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const MAX_DEPTH = 12;

export function markdown(text) {
  return h("div", { class: "text markdown" }, ...blocks(String(text ?? "").split("\n"), 0));
}

function blocks(lines, depth) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [node, next] = block(lines, at, depth);
    nodes.push(node);
    at = next;
  }
  return nodes;
}

function block(lines, at, depth) {
  const line = lines[at];
  if (FENCE.test(line)) return fenced(lines, at);
  const heading = HEADING.exec(line);
  if (heading) return [h(`h${Math.min(heading[1].length + 2, 6)}`, null, ...inline(heading[2])), at + 1];
  if (RULE.test(line)) return [h("hr"), at + 1];
  if (/^\s{0,3}>/.test(line) && depth < MAX_DEPTH) return quote(lines, at, depth);
  if (ITEM.test(line) && depth < MAX_DEPTH) return list(lines, at, depth);
  if (line.includes("|") && DIVIDER.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) return table(lines, at);
  return paragraph(lines, at, depth);
}

function fenced(lines, at) {
  const [, , mark] = FENCE.exec(lines[at]);
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(mark)) end += 1;
  return [fence(lines.slice(at + 1, end).join("\n")), end + 1];
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && /^\s{0,3}>/.test(lines[end])) end += 1;
  const inside = lines.slice(at, end).map((line) => line.replace(/^\s{0,3}>\s?/, ""));
  return [h("blockquote", null, ...blocks(inside, depth + 1)), end];
}

function list(lines, at, depth) {
  const [, indent, marker] = ITEM.exec(lines[at]);
  const isOrdered = /\d/.test(marker);
  const element = h(isOrdered ? "ol" : "ul", isOrdered ? { start: parseInt(marker, 10) } : null);
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (!item || item[1].length > indent.length + 1 || /\d/.test(item[2]) !== isOrdered) break;
    const from = end;
    end += 1;
    // Lines with a deeper indent, and blank lines before them, belong to the item.
    while (end < lines.length && belongs(lines, end, indent.length)) end += 1;
    element.append(listItem(item[3], lines.slice(from + 1, end), depth));
    while (end < lines.length && !lines[end].trim() && ITEM.test(lines[end + 1] ?? "")) end += 1;
  }
  return [element, end];
}

function belongs(lines, at, indent) {
  const deep = (line) => line !== undefined && line.trim() && /^\s*/.exec(line)[0].length > indent + 1;
  return deep(lines[at]) || (!lines[at].trim() && deep(lines[at + 1]));
}

function listItem(first, rest, depth) {
  const task = /^\[([ xX])\]\s+(.*)$/.exec(first);
  const words = inline(task ? task[2] : first);
  const box = task && h("input", { type: "checkbox", disabled: true, checked: task[1] !== " ", "aria-label": "task" });
  const width = Math.min(...rest.filter((line) => line.trim()).map((line) => /^\s*/.exec(line)[0].length));
  const inside = rest.length ? blocks(rest.map((line) => line.slice(Number.isFinite(width) ? width : 0)), depth + 1) : [];
  return h("li", { class: task ? "task" : null }, box, ...words, ...inside);
}

const cells = (line) =>
  line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));

function table(lines, at) {
  const sides = cells(lines[at + 1]).map((mark) => (/^:.*:$/.test(mark) ? "center" : mark.endsWith(":") ? "right" : "left"));
  const draw = (tag, line) =>
    h("tr", null, ...cells(line).map((cell, column) => h(tag, { class: `align-${sides[column] ?? "left"}` }, ...inline(cell))));
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && lines[end].trim()) end += 1;
  const body = lines.slice(at + 2, end).map((line) => draw("td", line));
  const drawn = h("table", null, h("thead", null, draw("th", lines[at])), h("tbody", null, ...body));
  return [h("div", { class: "table-scroll" }, drawn), end];
}

const startsBlock = (line, depth) =>
  !line.trim() || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || (depth < MAX_DEPTH && (/^\s{0,3}>/.test(line) || ITEM.test(line)));

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && !startsBlock(lines[end], depth)) end += 1;
  const element = h("p");
  lines.slice(at, end).forEach((line, index) => {
    if (index) element.append(h("br"));
    element.append(...inline(line.trim()));
  });
  return [element, end];
}

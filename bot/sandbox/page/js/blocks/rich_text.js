// rich_text: sections, lists, quotes, code.  Its text is never parsed for mentions.

import { h } from "../dom.js";
import { emoji } from "../text/emoji.js";
import { link } from "../text/links.js";
import { broadcast, channelMention, date, mention } from "../text/mentions.js";

const STYLES = { bold: "strong", italic: "em", strike: "s", code: "code", underline: "u" };

export function richText(block) {
  const root = h("div", { class: "text rich-text" });
  let lists = [];
  for (const part of block?.elements ?? []) {
    if (part.type !== "rich_text_list") {
      lists = [];
      root.append(partOf(part));
      continue;
    }
    lists = nest(root, lists, part);
  }
  return root;
}

// Slack stores lists flat, with an indent: a deeper list belongs to the last item of the one before.
function nest(root, lists, part) {
  const indent = part.indent ?? 0;
  const list = h(part.style === "ordered" ? "ol" : "ul", { start: part.offset ? part.offset + 1 : null }, part.elements.map((item) => h("li", null, ...line(item.elements))));
  const outer = lists.filter((one) => one.indent < indent);
  const parent = outer.at(-1)?.list.lastElementChild ?? root;
  parent.append(list);
  return [...outer, { indent, list }];
}

function partOf(part) {
  if (part.type === "rich_text_quote") return h("blockquote", null, ...line(part.elements));
  if (part.type === "rich_text_preformatted") return h("pre", { class: "fence" }, h("code", null, ...line(part.elements)));
  return h("div", { class: "line" }, ...line(part.elements));
}

function line(elements) {
  return (elements ?? []).flatMap((element) => styled(word(element), element.style));
}

const styled = (node, style) =>
  Object.entries(STYLES).reduce((inner, [name, tag]) => (style?.[name] ? h(tag, { class: tag === "code" ? "code" : null }, inner) : inner), node);

function word(element) {
  switch (element.type) {
    case "text":
      return h("span", null, ...element.text.split("\n").flatMap((text, index) => (index ? [h("br"), text] : [text])));
    case "link":
      return link(element.url, element.text || element.url);
    case "user":
      return mention(element.user_id);
    case "channel":
      return channelMention(element.channel_id);
    case "usergroup":
      return h("span", { class: "mention" }, `@${element.usergroup_id}`);
    case "broadcast":
      return broadcast(element.range);
    case "emoji":
      return h("span", { class: "emoji", title: `:${element.name}:` }, emoji(element.name) ?? fromCode(element.unicode) ?? `:${element.name}:`);
    case "date":
      return date(String(element.timestamp), element.format, element.fallback ?? "", element.url);
    case "color":
      return h("code", { class: "code" }, element.value);
    default:
      return document.createTextNode(element.text ?? "");
  }
}

function fromCode(unicode) {
  if (!/^[0-9a-f]{2,6}(-[0-9a-f]{2,6})*$/i.test(unicode ?? "")) return null;
  const codes = unicode.split("-").map((code) => parseInt(code, 16));
  return codes.every((code) => code <= 0x10ffff) ? String.fromCodePoint(...codes) : null;
}

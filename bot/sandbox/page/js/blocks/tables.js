// Table blocks: rows of raw or rich text.

import { h } from "../dom.js";
import { richText } from "./rich_text.js";

const cell = (value) => (value?.type === "rich_text" ? richText(value) : document.createTextNode(String(value?.text ?? value?.value ?? "")));

function grid(rows, settings, caption) {
  const draw = (row, tag) =>
    h("tr", null, row.map((value, column) => h(tag, { class: `align-${settings?.[column]?.align ?? "left"}` }, cell(value))));
  const [head, ...body] = rows ?? [];
  return h(
    "div",
    { class: "table-scroll text" },
    h("table", null, caption && h("caption", null, caption), head && h("thead", null, draw(head, "th")), h("tbody", null, body.map((row) => draw(row, "td")))),
  );
}

export const table = (block) => grid(block.rows, block.column_settings);
export const dataTable = (block) => grid(block.rows, null, block.caption);

// Draws Block Kit blocks as nodes.
//
// The surface that contains them:
//   {form: FormState, act(block, element, state) → answer, suggest(block, element, typed) → {options}, isView}

import { h, icon } from "../dom.js";
import { ownUrl } from "../text/links.js";
import { markdown } from "../text/markdown.js";
import { plain, textObject } from "../text/plain.js";
import { chart } from "./chart.js";
import { control } from "./controls.js";
import { inputBlock } from "./inputs.js";
import { richText } from "./rich_text.js";
import { dataTable, table } from "./tables.js";
import { plan, taskCard } from "./tasks.js";

const DRAW = {
  section,
  header: (block) => h("h3", { class: "block-header" }, plain(block.text)),
  context: (block) => h("div", { class: "block-context" }, block.elements.map(contextElement)),
  actions: (block, surface) =>
    h("div", { class: "block-actions", role: "group", "aria-label": "Actions" }, block.elements.map((element) => control(element, block, surface))),
  context_actions: (block, surface) =>
    h("div", { class: "block-actions" }, block.elements.map((element) => control(element, block, surface))),
  divider: () => h("hr", { class: "block-divider" }),
  markdown: (block) => markdown(block.text),
  rich_text: richText,
  image: (block) => h("figure", { class: "block-image" }, block.title && h("figcaption", null, plain(block.title)), picture(block)),
  video: (block) => h("figure", { class: "block-image" }, h("figcaption", null, plain(block.title)), picture(block)),
  input: inputBlock,
  table,
  data_visualization: chart,
  data_table: dataTable,
  alert: (block) => h("div", { class: `block-alert alert-${block.level ?? "default"}`, role: "note" }, textObject(block.text)),
  task_card: taskCard,
  plan,
  file: (block) => h("div", { class: "block-context" }, icon("file"), h("span", null, `file ${block.external_id ?? ""}`)),
  card,
  container: (block, surface) => h("div", { class: "block-card" }, blocks(block.child_blocks ?? block.blocks ?? [], surface)),
};

export function blocks(list, surface) {
  return h("div", { class: "blocks" }, (list ?? []).map((block) => drawBlock(block, surface)));
}

function drawBlock(block, surface) {
  const draw = DRAW[block.type];
  const element = draw ? draw(block, surface) : unsupportedBlock(block);
  if (block.block_id) element.dataset.blockId = block.block_id;
  return element;
}

const unsupportedBlock = (block) =>
  h("details", { class: "block-undrawn" }, h("summary", null, `A “${block.type}” block, not drawn here`), h("pre", null, JSON.stringify(block, null, 2)));

function section(block, surface) {
  const words = h(
    "div",
    { class: "section-words" },
    block.text && folded(textObject(block.text), block),
    block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "field" }, textObject(field)))),
  );
  const { accessory } = block;
  if (!accessory) return h("div", { class: "block-section" }, words);
  const drawnAccessory = accessory.type === "image" ? picture(accessory) : control(accessory, block, surface);
  return h("div", { class: "block-section with-accessory" }, words, h("div", { class: "accessory" }, drawnAccessory));
}

// Slack folds long section text unless the block says `expand`.
function folded(element, block) {
  const long = (block.text.text ?? "").length > 700 || (block.text.text ?? "").split("\n").length > 14;
  if (!long || block.expand) return element;
  element.classList.add("folded");
  const more = h("button", { type: "button", class: "link-button see-more", "aria-expanded": "false" }, "See more");
  more.addEventListener("click", () => {
    const isFolded = element.classList.toggle("folded");
    more.textContent = isFolded ? "See more" : "See less";
    more.setAttribute("aria-expanded", String(!isFolded));
  });
  return h("div", null, element, more);
}

const contextElement = (element) => (element.type === "image" ? picture(element, "small") : textObject(element));

// Images of other hosts are never loaded: their alternative text is shown instead.
function picture(image, size = "") {
  const own = image.image_url && ownUrl(image.image_url);
  const alt = image.alt_text ?? "";
  if (own) return h("img", { src: own, alt, class: `picture ${size}`, loading: "lazy" });
  return h("span", { class: `picture picture-placeholder ${size}`, role: "img", "aria-label": alt, title: alt }, icon("image"), size ? null : h("span", null, alt));
}

function card(block, surface) {
  return h(
    "div",
    { class: "block-card" },
    block.title && h("div", { class: "card-title" }, textObject(block.title)),
    block.subtitle && h("div", { class: "card-subtitle" }, textObject(block.subtitle)),
    block.body && textObject(block.body),
    block.actions && h("div", { class: "block-actions" }, block.actions.map((element) => control(element, block, surface))),
  );
}

// Checkboxes and radio buttons.

import { h } from "../dom.js";
import { plain, textObject } from "../text/plain.js";
import { perform } from "./controls.js";

let groups = 0;

function group(kind, element, block, surface, label, isOn, change) {
  groups += 1;
  const name = `choice-${groups}`;
  return h(
    "fieldset",
    { class: "choices", role: kind === "radio" ? "radiogroup" : "group", "aria-label": label ?? "Choices" },
    element.options.map((option) =>
      h(
        "label",
        null,
        h("input", { type: kind, name, checked: isOn(option), "aria-label": plain(option.text), onchange: (event) => change(option, event.target) }),
        h("span", null, textObject(option.text), option.description && h("span", { class: "choice-detail" }, textObject(option.description))),
      ),
    ),
  );
}

const dispatchesAction = (block) => block.type !== "input" || block.dispatch_action;

export function checkboxes(element, block, surface, label) {
  const before = surface.form.get(block.block_id, element.action_id)?.selected_options ?? element.initial_options ?? [];
  const chosen = new Set(before.map((option) => option.value));
  const state = () => ({ type: element.type, selected_options: element.options.filter((option) => chosen.has(option.value)) });
  const put = () => surface.form.set(block.block_id, element.action_id, state());
  put();
  return group("checkbox", element, block, surface, label, (option) => chosen.has(option.value), async (option, box) => {
    const flip = (isOn) => (isOn ? chosen.add(option.value) : chosen.delete(option.value));
    flip(box.checked);
    put();
    if (!dispatchesAction(block) || (await perform(element, block, surface, state(), plain(option.text), box))) return;
    box.checked = !box.checked;
    flip(box.checked);
    put();
  });
}

export function radioButtons(element, block, surface, label) {
  const before = surface.form.get(block.block_id, element.action_id)?.selected_option ?? element.initial_option ?? null;
  const put = (option) => surface.form.set(block.block_id, element.action_id, { type: element.type, selected_option: option });
  put(before);
  return group("radio", element, block, surface, label, (option) => option.value === before?.value, (option, box) => {
    put(option);
    if (dispatchesAction(block)) perform(element, block, surface, { type: element.type, selected_option: option }, plain(option.text), box);
  });
}

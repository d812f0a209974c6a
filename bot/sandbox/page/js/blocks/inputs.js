// The input block: a label, a field, a hint, and a space for its error.

import { h } from "../dom.js";
import { plain } from "../text/plain.js";
import { control } from "./controls.js";

let inputs = 0;

export function inputBlock(block, surface) {
  inputs += 1;
  const id = `input-${inputs}`;
  const label = plain(block.label);
  const drawn = control(block.element, block, surface, label);
  const field = drawn.matches("input, textarea, fieldset") ? drawn : drawn.querySelector("input, select");
  field?.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  if (!block.optional && !field?.matches("fieldset")) field?.setAttribute("aria-required", "true");
  const isField = field && !field.matches("fieldset");
  if (isField) field.id = id;
  return h(
    "div",
    { class: "block-input" },
    h("label", { class: "input-label", for: isField ? id : null }, label, block.optional && h("span", { class: "optional" }, " (optional)")),
    drawn,
    h("p", { class: "input-error", id: `${id}-error`, role: "alert", hidden: true }),
    block.hint && h("p", { class: "input-hint", id: `${id}-hint` }, plain(block.hint)),
  );
}

// Shows {block_id: message} below the fields of a form, clears the other errors, and focuses the first.
export function showErrors(root, errors) {
  let first = null;
  for (const element of root.querySelectorAll(".block-input")) {
    const message = errors[element.dataset.blockId];
    const line = element.querySelector(".input-error");
    line.textContent = message ?? "";
    line.hidden = !message;
    const field = element.querySelector("input, textarea, select");
    if (message) field?.setAttribute("aria-invalid", "true");
    else field?.removeAttribute("aria-invalid");
    element.classList.toggle("has-error", Boolean(message));
    if (message) first ??= field;
  }
  first?.focus();
  return first !== null;
}

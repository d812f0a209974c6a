// Text, number, date and time fields.

import { h } from "../dom.js";
import { plain } from "../text/plain.js";
import { perform } from "./controls.js";

// Element type → the browser's input type and the key of Slack's answer.
const KINDS = {
  plain_text_input: { type: "text", answer: "value", initial: "initial_value" },
  number_input: { type: "text", answer: "value", initial: "initial_value", mode: "decimal" },
  email_text_input: { type: "email", answer: "value", initial: "initial_value" },
  url_text_input: { type: "url", answer: "value", initial: "initial_value" },
  datepicker: { type: "date", answer: "selected_date", initial: "initial_date" },
  timepicker: { type: "time", answer: "selected_time", initial: "initial_time" },
};

export function textField(element, block, surface, label) {
  const kind = KINDS[element.type];
  const state = (value) => ({ type: element.type, [kind.answer]: value || null });
  const before = surface.form.get(block.block_id, element.action_id)?.[kind.answer] ?? element[kind.initial] ?? "";
  surface.form.set(block.block_id, element.action_id, state(before));
  const props = {
    value: before,
    placeholder: plain(element.placeholder) || null,
    "aria-label": label ?? (plain(element.placeholder) || "Value"),
    maxlength: element.max_length,
    autofocus: element.focus_on_load,
    autocomplete: "off",
    spellcheck: "false",
  };
  const field = element.multiline
    ? h("textarea", { rows: 5, ...props })
    : h("input", { type: kind.type, inputmode: kind.mode, role: element.type === "number_input" ? "spinbutton" : null, ...props });
  const dispatchAction = () => perform(element, block, surface, state(field.value), label ?? "field", field);
  field.addEventListener("input", () => surface.form.set(block.block_id, element.action_id, state(field.value)));
  const isPicker = kind.answer !== "value";
  if (block.type !== "input" || block.dispatch_action) {
    if (isPicker) field.addEventListener("change", dispatchAction);
    else field.addEventListener("keydown", (event) => event.key === "Enter" && !event.shiftKey && (event.preventDefault(), dispatchAction()));
  }
  return field;
}

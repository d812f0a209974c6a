// Interactive elements: buttons, menus, selects, and the fields shared with modals.

import { confirmed } from "../confirm.js";
import { h, icon } from "../dom.js";
import { openMenu } from "../popover.js";
import { safeUrl } from "../text/links.js";
import { plain } from "../text/plain.js";
import { reasonFor, toast } from "../toasts.js";
import { checkboxes, radioButtons } from "./choices.js";
import { textField } from "./fields.js";
import { externalSelect, listSelect, multiSelect } from "./selects.js";

const DRAW = {
  button,
  workflow_button: button,
  icon_button: button,
  overflow,
  feedback_buttons: feedback,
  static_select: listSelect,
  users_select: listSelect,
  channels_select: listSelect,
  conversations_select: listSelect,
  external_select: externalSelect,
  multi_static_select: multiSelect,
  multi_users_select: multiSelect,
  multi_channels_select: multiSelect,
  multi_conversations_select: multiSelect,
  checkboxes,
  radio_buttons: radioButtons,
  plain_text_input: textField,
  number_input: textField,
  email_text_input: textField,
  url_text_input: textField,
  datepicker: textField,
  timepicker: textField,
};

// `label` names an element without a text of its own (an input block's label).
export function control(element, block, surface, label) {
  const draw = DRAW[element.type];
  if (!draw) return h("span", { class: "block-undrawn" }, `[${element.type}]`);
  const drawn = draw(element, block, surface, label);
  if (element.action_id) drawn.dataset.actionId = element.action_id;
  return drawn;
}

// Sends an action to the app, after its confirm dialog; false if the person declined or the delivery failed.
export async function perform(element, block, surface, state, what, source) {
  if (!(await confirmed(element.confirm))) return false;
  source?.setAttribute("aria-busy", "true");
  const answer = await surface.act(block, element, state);
  source?.removeAttribute("aria-busy");
  if (!answer.ok) toast(`“${what}” did not get through: ${reasonFor(answer)}.`);
  return answer.ok;
}

function button(element, block, surface) {
  const words = plain(element.text) || element.icon || "Button";
  const drawn = h(
    "button",
    {
      type: "button",
      class: `button ${element.style ?? ""}`,
      "aria-label": element.accessibility_label,
      onclick: () => {
        const url = element.url && safeUrl(element.url);
        if (url) open(url, "_blank", "noopener,noreferrer");
        if (drawn.getAttribute("aria-busy") !== "true") perform(element, block, surface, { value: element.value }, words, drawn);
      },
    },
    words,
  );
  return drawn;
}

function overflow(element, block, surface) {
  const choose = (option) => {
    const url = option.url && safeUrl(option.url);
    if (url) open(url, "_blank", "noopener,noreferrer");
    perform(element, block, surface, { selected_option: option }, plain(option.text), drawn);
  };
  const items = element.options.map((option) => ({
    label: plain(option.text),
    description: option.description && plain(option.description),
    choose: () => choose(option),
  }));
  const drawn = h(
    "button",
    { type: "button", class: "button overflow", "aria-label": "More options", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => openMenu(drawn, "More options", items) },
    icon("more"),
  );
  return drawn;
}

function feedback(element, block, surface) {
  const one = (choice) => button({ ...element, ...choice, style: "" }, block, surface);
  return h("span", { class: "block-actions" }, one(element.positive_button), one(element.negative_button));
}

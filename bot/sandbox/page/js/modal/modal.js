// The person's modals: a stack, of which the topmost is shown.

import { send } from "../api.js";
import { blocks } from "../blocks/blocks.js";
import { FormState, validationErrors } from "../blocks/form.js";
import { showErrors } from "../blocks/inputs.js";
import { fill, h, iconButton } from "../dom.js";
import { plain } from "../text/plain.js";
import { reasonFor } from "../toasts.js";
import { person, readWorld, world } from "../world.js";
import { viewSurface } from "./surface.js";

const forms = new Map();
let dialog = null;
let shown = null;

const formOf = (view) => {
  if (!forms.has(view.id)) forms.set(view.id, new FormState());
  return forms.get(view.id);
};

// Makes the screen match the server's open modals.
export function syncModals() {
  const open = world.views.filter((view) => view.type !== "home");
  for (const id of forms.keys()) if (!open.some((view) => view.id === id)) forms.delete(id);
  const top = open.at(-1) ?? null;
  if (!top) return hide();
  // Typed values do not redraw the view: only another view or hash does.
  const fingerprint = JSON.stringify([person(), top.id, top.hash, top.title, top.blocks, open.length]);
  if (shown?.fingerprint === fingerprint) return undefined;
  const isUpdate = shown?.id === top.id;
  shown = { fingerprint, id: top.id };
  return draw(top, open.length > 1, isUpdate);
}

function hide() {
  shown = null;
  dialog?.remove();
  dialog = null;
}

function draw(view, isPushed, isUpdate) {
  const form = formOf(view);
  const scrolled = dialog?.querySelector(".modal-body")?.scrollTop ?? 0;
  const focusId = dialog?.contains(document.activeElement) && document.activeElement.closest("[data-action-id]")?.dataset.actionId;
  if (!dialog) {
    dialog = h("dialog", { class: "modal", "aria-labelledby": "modal-title" });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(world.views.at(-1));
    });
    document.body.append(dialog);
  }
  const banner = h("p", { class: "modal-banner", role: "alert", hidden: true });
  const body = h("div", { class: "modal-body" }, banner, blocks(view.blocks, viewSurface(view, form)));
  const submit = view.submit && h("button", { type: "submit", class: "button primary" }, plain(view.submit));
  const formElement = h(
    "form",
    { novalidate: true },
    h("header", { class: "modal-header" }, isPushed && iconButton("back", "Back", () => close(view)), h("h2", { id: "modal-title" }, plain(view.title)), h("span", { class: "spacer" }), iconButton("close", "Close", () => close(view))),
    body,
    (submit || view.close) && h("footer", { class: "dialog-buttons" }, h("button", { type: "button", class: "button", onclick: () => close(view) }, plain(view.close) || "Cancel"), submit),
  );
  formElement.addEventListener("submit", (event) => {
    event.preventDefault();
    if (submit) submitView(view, form, formElement, submit, banner);
  });
  fill(dialog, formElement);
  if (!dialog.open) dialog.showModal();
  if (isUpdate) body.scrollTop = scrolled;
  const wanted = focusId && dialog.querySelector(`[data-action-id="${CSS.escape(focusId)}"]`);
  const first = wanted || dialog.querySelector("[autofocus]") || body.querySelector("input, textarea, select") || submit;
  (first?.matches("input, textarea, select, button") ? first : first?.querySelector("input, select"))?.focus();
}

async function submitView(view, form, root, submit, banner) {
  if (submit.getAttribute("aria-busy") === "true") return;
  banner.hidden = true;
  if (showErrors(root, validationErrors(view.blocks, form))) return;
  submit.setAttribute("aria-busy", "true");
  const answer = await send("view/submit", { user: person(), view_id: view.id, values: form.values(view.blocks) });
  submit.removeAttribute("aria-busy");
  if (answer.errors && Object.keys(answer.errors).length) showErrors(root, answer.errors);
  else if (!answer.ok) {
    banner.textContent = `We had some trouble connecting. Try again? (${reasonFor(answer)})`;
    banner.hidden = false;
  }
  await readWorld();
}

async function close(view) {
  if (!view) return hide();
  await send("view/close", { user: person(), view_id: view.id });
  return readWorld();
}

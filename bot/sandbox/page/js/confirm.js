// The confirmation dialog of a Block Kit element.

import { h } from "./dom.js";
import { plain, textObject } from "./text/plain.js";

// Resolves to true when the person confirms; Esc and a click outside decline.
export function confirmed(confirm) {
  if (!confirm) return Promise.resolve(true);
  return new Promise((resolve) => {
    const yes = h("button", { type: "submit", value: "yes", class: `button ${confirm.style === "danger" ? "danger" : "primary"}` }, plain(confirm.confirm) || "Yes");
    const no = h("button", { type: "submit", value: "no", class: "button" }, plain(confirm.deny) || "Cancel");
    const dialog = h(
      "dialog",
      { class: "confirm", role: "alertdialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "confirm-title" }, plain(confirm.title) || "Are you sure?"),
        h("div", { id: "confirm-text", class: "confirm-text" }, textObject(confirm.text)),
        h("div", { class: "dialog-buttons" }, no, yes),
      ),
    );
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close("no"));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    yes.focus();
  });
}

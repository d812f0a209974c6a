// The dialog about a restart: shows what the chosen point would do before it is done.
import { request } from "./acts.js";

const element = (name, words, className) => {
  const made = document.createElement(name);
  made.textContent = words;
  if (className) made.className = className;
  return made;
};

// The parts of a form that do not apply are not sent.
function toggle(parts, isShown) {
  for (const part of parts) {
    part.hidden = !isShown;
    for (const field of part.querySelectorAll("input, textarea")) field.disabled = !isShown;
  }
}

function show(dialog, preview) {
  const form = dialog.querySelector("form");
  const point = form.elements.checkpoint;
  const chosen = preview.checkpoint === null ? "" : String(preview.checkpoint);
  point.replaceChildren(point.options[0], ...preview.checkpoints.toReversed().map((one) => {
    const step = one.step_name ? ` ${one.step_name}` : "";
    return new Option(`@${one.number}${step} · ${one.turns} turns`, String(one.number));
  }));
  point.value = chosen;
  toggle(form.querySelectorAll("[data-at-checkpoint]"), chosen !== "");
  toggle(form.querySelectorAll("[data-both-definitions]"), preview.has_both_definitions);
  if (preview.has_both_definitions) form.elements.definition.value = preview.definition;
  const shown = form.querySelector("[data-shown]");
  // The problems stand at the top, marked by how bad they are; the rest is the text.
  const told = new Set(preview.problems.map((one) => one.message));
  const lines = preview.text.split("\n").filter((line) => !told.has(line.replace(/^⚠️ /, "")));
  const list = document.createElement("ul");
  for (const line of lines) if (line.startsWith("• ")) list.append(element("li", line.slice(2)));
  const plain = lines.filter((line) => !line.startsWith("• "));
  const lead = plain.findIndex((line) => line.endsWith(":"));
  const after = lead < 0 ? plain.length : lead + 1;
  shown.replaceChildren(
    ...preview.problems.map((one) => element("p", one.message.replaceAll("`", ""), one.is_blocking ? "problem" : "warning")),
    ...plain.slice(0, after).map((line, number) => element(number ? "p" : "h3", line)),
    ...(list.children.length ? [list] : []),
    ...plain.slice(after).map((line) => element("p", line, "muted small")),
  );
  const submit = form.querySelector("[data-submit]");
  submit.disabled = !preview.is_possible;
  submit.textContent = preview.mode === "files" ? "Put files back" : "Restart";
}

let asked = 0;

async function look(dialog, checkpoint) {
  const form = dialog.querySelector("form");
  const number = ++asked;
  const isAt = checkpoint !== "";
  const body = { preview: true };
  if (isAt) body.checkpoint = Number(checkpoint);
  const mode = form.elements.mode.value;
  if (isAt && mode) body.mode = mode;
  const definition = form.querySelector("[name=definition]:checked:not(:disabled)");
  if (definition) body.definition = definition.value;
  form.querySelector("[data-submit]").disabled = true;
  try {
    const answer = await request(form.dataset.act, body);
    if (number === asked) show(dialog, answer.preview);
  } catch (error) {
    if (number !== asked) return;
    form.querySelector("[data-shown]").replaceChildren(element("p", error.message, "problem"));
  }
}

export function open(dialog, opener) {
  const form = dialog.querySelector("form");
  const error = form.querySelector("[data-error]");
  if (error) error.hidden = true;
  if (!dialog.dataset.listens) {
    dialog.dataset.listens = "true";
    form.addEventListener("change", (event) => {
      if (event.target.matches("[data-preview]")) look(dialog, form.elements.checkpoint.value);
    });
  }
  look(dialog, opener.dataset.checkpoint ?? "");
}

// The first steps: one thing to try at a time, each shown when the one before was done.

import { h, icon, iconButton } from "../dom.js";
import { world } from "../world.js";

const STEP_KEY = "sandbox.hint-step";
// `words` stand before the command; a step without a command is done by pressing “Next”.
const STEPS = [
  { words: "New here? Try", command: "run builder Add rate limiting to the API" },
  { words: "Next, a run to stop: start it, then press Kill on its card.", command: "run fix [scenario: kill-stubborn] Work for a long while" },
  { words: "Now let it go on: press Continue on the card of the run that you stopped." },
  { words: "And one whose tests fail:", command: "run builder [scenario: failing-tests] Add a cache" },
];

const stepNow = () => Number(localStorage.getItem(STEP_KEY) ?? 0);

export function hint(fillIn) {
  const box = h("aside", { class: "hint", "aria-label": "First steps", hidden: true });
  const command = () => world.commands[0]?.command ?? "/workflow";
  const words = h("span");
  const button = h("button", { type: "button", class: "hint-try", onclick: () => fillIn(button.textContent) });
  const next = h("button", { type: "button", class: "button small", onclick: () => go(stepNow() + 1) }, "Next");
  box.append(icon("spark"), h("div", { class: "hint-text" }, words, " ", button), next, iconButton("close", "Dismiss hint", () => go(STEPS.length)));
  const update = () => {
    const step = STEPS[stepNow()];
    box.hidden = !step || !world.commands.length;
    if (box.hidden) return;
    words.textContent = step.words;
    button.hidden = !step.command;
    button.textContent = step.command ? `${command()} ${step.command}` : "";
    next.hidden = Boolean(step.command);
  };
  const go = (step) => {
    localStorage.setItem(STEP_KEY, String(step));
    update();
  };
  // A run that was started some other way counts too: the person knows how by now.
  const sent = (text) => {
    if (STEPS[stepNow()]?.command && text.startsWith(`${command()} run `)) go(stepNow() + 1);
  };
  return { element: box, update, sent };
}

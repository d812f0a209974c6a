// The hint on the first visit: one command to try.

import { h, icon, iconButton } from "../dom.js";
import { world } from "../world.js";

const SEEN_KEY = "sandbox.hint-seen";
const EXAMPLE = "run builder Add rate limiting to the API";

export function hint(fillIn) {
  const box = h("aside", { class: "hint", "aria-label": "First steps", hidden: true });
  const done = () => {
    localStorage.setItem(SEEN_KEY, "yes");
    box.hidden = true;
  };
  const example = () => `${world.commands[0]?.command ?? "/workflow"} ${EXAMPLE}`;
  const button = h("button", { type: "button", class: "hint-try", onclick: () => (fillIn(example()), done()) });
  box.append(icon("spark"), h("span", null, "New here? Try"), button, iconButton("close", "Dismiss hint", done));
  const update = () => {
    button.textContent = example();
    box.hidden = localStorage.getItem(SEEN_KEY) !== null || !world.commands.length;
  };
  return { element: box, update };
}

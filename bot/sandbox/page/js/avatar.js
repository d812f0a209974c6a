// Avatars: a person's initials on a colour, and the app's three lamps.

import { h } from "./dom.js";
import { isApp, nameOf } from "./world.js";

const HUES = 8;

function hue(text) {
  let sum = 0;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return sum % HUES;
}

export function avatar(userId, size = "") {
  if (isApp(userId)) {
    return h("span", { class: `avatar avatar-app ${size}`, "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  }
  const name = nameOf(userId);
  const initials = name.split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((word) => word[0].toUpperCase()).join("");
  return h("span", { class: `avatar hue-${hue(userId)} ${size}`, "aria-hidden": "true" }, initials || "?");
}

// Turns an element's content into other HTML, and leaves alone what is the same: what a person
// typed, opened, focused or scrolled stays.
export function morph(element, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  morphChildren(element, template.content);
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.key || null : null;
}

function isAlike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

function morphChildren(element, wanted) {
  const keyed = new Map();
  for (const child of element.children) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  let present = element.firstChild;
  for (const next of [...wanted.childNodes]) {
    const key = keyOf(next);
    const moved = key ? keyed.get(key) : null;
    if (moved && moved !== present) {
      element.insertBefore(moved, present);
      present = moved;
    }
    if (present && isAlike(present, next)) {
      morphNode(present, next);
      present = present.nextSibling;
    } else {
      element.insertBefore(next, present);
    }
  }
  while (present) {
    const following = present.nextSibling;
    if (!isBegun(present)) present.remove();
    present = following;
  }
}

const TEXTS = "textarea, input:not([type]), input[type=text], input[type=search], input[type=number]";

// Whether a person has opened a dialog in it, or typed into it.  It stays even if the server does
// not show it any more: nobody loses what they write because somebody else was faster.  What they
// send then is refused with the reason.  An update after it was closed or emptied removes it.
function isBegun(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return false;
  const within = (selector) => [...(node.matches(selector) ? [node] : []), ...node.querySelectorAll(selector)];
  if (within("dialog[open]").length > 0) return true;
  return within(TEXTS).some((field) =>
    field.value !== field.defaultValue && !field.closest("dialog:not([open])"));
}

function morphNode(present, next) {
  if (present.nodeType !== Node.ELEMENT_NODE) {
    if (present.nodeValue !== next.nodeValue) present.nodeValue = next.nodeValue;
    return;
  }
  // A part that its own script draws, or that a person is filling in.
  if (present.hasAttribute("data-keep")) return;
  if (present.nodeName === "DIALOG" && present.open) return;
  const isTyped = present.matches("input, textarea, select") && present === document.activeElement;
  for (const { name } of [...present.attributes]) {
    if (next.hasAttribute(name)) continue;
    // What the person opened or marked.
    if (name === "open" || name === "aria-selected") continue;
    present.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (name === "open" || (isTyped && name === "value")) continue;
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  }
  // The script has put its own words into times.
  if (present.nodeName === "TIME" && present.dateTime === next.dateTime) return;
  morphChildren(present, next);
}

// Builds elements.  Text is always a text node: no text of people or agents is parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

// h("button", {class: "x", "aria-label": "…", onclick: f, hidden: true, dataset: {ts}}, children…)
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

export function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

// The page's own line icons, 20 × 20, drawn in the colour of the text around them.
const ICONS = {
  hash: "M7.5 3.5 6 16.5M14 3.5l-1.5 13M4 7.5h13M3 12.5h13",
  lock: "M5.5 9h9v7.5h-9zM7.5 9V6.5a2.5 2.5 0 0 1 5 0V9",
  archive: "M3.5 4h13v3.5h-13zM5 7.5v8.5h10V7.5M8.5 10.5h3",
  shared: "M7.5 6.5 10 4l2.5 2.5M10 4v8M5 9.5v6.5h10V9.5",
  send: "M3.5 10 16.5 3.5 13 16.5 9.5 11zM9.5 11l7-7.5",
  close: "M5 5l10 10M15 5 5 15",
  reply: "M3.5 4.5h13v9h-7l-3.5 3v-3h-2.5z",
  more: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  smile: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M7 11.5c.8 1.4 1.8 2 3 2s2.2-.6 3-2M7.6 8h.01M12.4 8h.01",
  menu: "M3.5 5.5h13M3.5 10h13M3.5 14.5h13",
  eye: "M2.5 10s2.8-4.8 7.5-4.8 7.5 4.8 7.5 4.8-2.8 4.8-7.5 4.8S2.5 10 2.5 10zM10 7.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4",
  chevron: "M6 8l4 4 4-4",
  back: "M12 5l-5 5 5 5",
  down: "M10 4v11M5.5 10.5 10 15l4.5-4.5",
  file: "M5.5 3h6l3.5 3.5V17h-9.5zM11.5 3v3.5H15",
  image: "M3.5 4.5h13v11h-13zM3.5 13l3.5-3.5 3 3 2.5-2.5 4 3.5M12.5 7.5h.01",
  home: "M3.5 9.5 10 4l6.5 5.5M5.5 8.5V16h9V8.5",
  pulse: "M2.5 10.5h3.5l2-5.5 3.5 10 2.5-6 1 1.5h2.5",
  spark: "M11 2.5 4.5 11.5H10l-1 6 6.5-9H10z",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon", `icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function iconButton(name, label, onclick, props) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

// Shared files: text as a snippet that unfolds, the sandbox's own images as images.

import { readText } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { ownUrl } from "../text/links.js";

const PREVIEW_LINES = 6;
const MAX_CHARACTERS = 200_000;
const texts = new Map();

const size = (bytes) => (bytes === undefined ? "" : bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`);

export function files(message) {
  if (!message.files?.length) return null;
  return h("div", { class: "files" }, message.files.map(drawFile));
}

function drawFile(file) {
  const url = ownUrl(file.url_private);
  const name = file.title || file.name || "file";
  const head = [icon("file"), h("span", { class: "file-name" }, name), h("span", { class: "file-size" }, size(file.size))];
  if (!url) return h("div", { class: "file" }, h("div", { class: "file-head" }, head));
  if (/^image\/(png|jpeg|gif|webp)$/.test(file.mimetype ?? "")) {
    return h("figure", { class: "file file-picture" }, h("img", { src: url, alt: file.alt_txt || name, loading: "lazy" }), h("figcaption", null, name));
  }
  return snippet(file, url, name, head);
}

function snippet(file, url, name, head) {
  const code = h("code", null, "…");
  const fold = h("button", { type: "button", class: "link-button", hidden: true, "aria-expanded": "false" });
  const drawnFile = h(
    "section",
    { class: "file", "aria-label": `File ${name}` },
    h("div", { class: "file-head" }, head, h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, "Open")),
    h("pre", { class: "file-text" }, code),
    h("div", { class: "file-foot" }, fold),
  );
  show(url, code, fold);
  return drawnFile;
}

async function show(url, code, fold) {
  try {
    if (!texts.has(url)) texts.set(url, await readText(url));
  } catch (error) {
    code.textContent = `This file could not be read (${error.message}).`;
    return;
  }
  const text = texts.get(url).slice(0, MAX_CHARACTERS).replace(/\n$/, "");
  const lines = text.split("\n");
  const paint = (isOpen) => {
    fill(code, colored(isOpen ? lines : lines.slice(0, PREVIEW_LINES)));
    fold.textContent = isOpen ? "Show less" : `Show all ${lines.length} lines`;
    fold.setAttribute("aria-expanded", String(isOpen));
  };
  fold.hidden = lines.length <= PREVIEW_LINES;
  fold.addEventListener("click", () => paint(fold.getAttribute("aria-expanded") !== "true"));
  paint(false);
}

// Lines of a diff get classes; other text stays as it is.
function colored(lines) {
  const isDiff = lines.some((line) => /^(diff --git|@@ |--- |\+\+\+ )/.test(line));
  return lines.flatMap((line) => {
    const kind = isDiff && /^[+-](?![+-]{2} )/.test(line) ? (line[0] === "+" ? "added" : "removed") : null;
    return [h("span", { class: kind }, line), "\n"];
  });
}

// The changes of a run: lines that are loaded when they are wanted, links to them, the keyboard.
import { toast } from "./acts.js";

async function load(link) {
  if (link.ariaBusy) return;
  link.ariaBusy = "true";
  const place = link.closest("p");
  try {
    const answer = await fetch(link.dataset.load || link.href);
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const lines = document.createElement("template");
    lines.innerHTML = await answer.text();
    const first = lines.content.querySelector("a.dn");
    const hadFocus = document.activeElement === link;
    place.replaceWith(lines.content);
    if (hadFocus) first?.focus({ preventScroll: true });
  } catch (error) {
    link.ariaBusy = null;
    toast(`The lines could not be loaded: ${error.message}`, true);
  }
}

// What the address names, also if its lines are not there yet.
async function followHash(root) {
  const found = /^#f(\d+)(?:([onh])(\d+))?$/.exec(location.hash);
  for (const marked of root.querySelectorAll(".is-marked")) marked.classList.remove("is-marked");
  if (!found) return;
  const file = document.getElementById(`f${found[1]}`);
  if (!file) return;
  let target = found[2] ? document.getElementById(location.hash.slice(1)) : file;
  while (!target) {
    const more = file.querySelector("[data-load]");
    if (!more) return;
    await load(more);
    if (more.isConnected) return;
    target = document.getElementById(location.hash.slice(1));
  }
  if (found[2]) target.closest("tr").classList.add("is-marked");
  target.scrollIntoView({ block: found[2] ? "center" : "start" });
}

// From the one with the focus; without one, from what is at the top of the screen.
function move(items, step) {
  const here = items.findIndex((item) => item.contains(document.activeElement));
  const tops = items.map((item) => item.getBoundingClientRect().top);
  let next = here + step;
  if (here < 0) next = step > 0 ? tops.findIndex((top) => top > 0) : tops.findLastIndex((top) => top < 0);
  const item = items[next];
  if (!item) return;
  item.scrollIntoView({ block: "start" });
  (item.querySelector(".dfh") ?? item).focus({ preventScroll: true });
}

export function start(root) {
  const files = root.querySelector(".diff-files");
  if (files && matchMedia("(max-width: 900px)").matches) files.open = false;
  root.addEventListener("click", async (event) => {
    const more = event.target.closest("[data-load]");
    if (more) { event.preventDefault(); load(more); return; }
    const link = event.target.closest("a.dn, a.dfl");
    if (!link) return;
    event.preventDefault();
    history.replaceState(null, "", link.hash);
    followHash(root);
    try {
      await navigator.clipboard.writeText(link.href);
      toast("Link copied.");
    } catch {
      // Without the right to write there, the address has it.
    }
  });
  root.querySelector("[data-filter]")?.addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    let count = 0;
    for (const entry of root.querySelectorAll("[data-files] > li")) {
      entry.hidden = !entry.textContent.toLowerCase().includes(wanted);
      document.querySelector(entry.querySelector("a").hash).hidden = entry.hidden;
      count += !entry.hidden;
    }
    root.querySelector("[data-none]").hidden = count > 0;
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    const step = { j: 1, k: -1, "]": 1, "[": -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const what = "jk".includes(event.key) ? ".df:not([hidden])" : ".df:not([hidden]) [data-hunk]";
    move([...root.querySelectorAll(what)], step);
  }, true);
  window.addEventListener("hashchange", () => followHash(root));
  followHash(root);
  root.dataset.ready = "yes";
}

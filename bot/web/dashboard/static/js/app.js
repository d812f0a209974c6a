// The dashboard's script: what the server's HTML cannot do itself.
import { startActs } from "./acts.js";
import { startFilters } from "./filters.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startTimes } from "./times.js";

function startFrame() {
  const menu = document.getElementById("menu");
  menu?.addEventListener("click", () => {
    const isOpen = document.getElementById("side").classList.toggle("is-open");
    menu.setAttribute("aria-expanded", String(isOpen));
  });
  document.getElementById("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = getComputedStyle(root).colorScheme === "dark"
      || (root.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = isDark ? "light" : "dark";
    localStorage.setItem("signalbox-theme", root.dataset.theme);
  });
  // A filter takes effect when it is chosen; the button is for browsers without this script.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-filters]");
    if (form) form.requestSubmit();
  });
  // Empty filters do not belong into the address.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-filters]")) return;
    for (const field of event.target.elements) if (field.value === "") field.disabled = true;
  });
}

startFrame();
startTimes();
startActs();
startFilters();
startKeys();
startLive();
if (document.querySelector("[data-bulk]")) import("./marks.js").then((marks) => marks.startMarks());
// What only some pages need.  A dialog loads its own when it is opened.
for (const element of document.querySelectorAll("[data-module]:not(dialog)")) {
  import(`./${element.dataset.module}.js`).then((module) => module.start(element));
}
const program = document.body.dataset.chartProgram;
if (program) import("./charts.js").then(({ startCharts }) => startCharts(program));

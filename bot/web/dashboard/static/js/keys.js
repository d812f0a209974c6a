// The keyboard: "/" searches, "j" and "k" move, "g" and a letter go to a page, "?" tells all this.
let isAfterG = false;

function rows() {
  return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const present = all.findIndex((row) => row.classList.contains("is-current"));
  const next = all[Math.min(Math.max(present + step, 0), all.length - 1)];
  all[present]?.classList.remove("is-current");
  next.classList.add("is-current");
  (next.querySelector("a[href]") ?? next).focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
    const wasAfterG = isAfterG;
    isAfterG = false;
    if (wasAfterG) {
      const link = document.querySelector(`.nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); location.assign(link.href); }
      return;
    }
    if (event.key === "g") isAfterG = true;
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "x") {
      document.querySelector("[data-row].is-current input[type=checkbox]")?.click();
    } else if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); search.select?.(); }
    } else if (event.key === "?") document.getElementById("keys")?.showModal();
  });
}

// Filters of lists: each list remembers its last ones in this browser, and views have names.
const FILTERS = "signalbox-filters";
const VIEWS = "signalbox-views";

function read(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function present() {
  const given = new URLSearchParams(location.search);
  given.delete("cursor");
  return given.toString();
}

// The navigation leads back to a list as it was left, and says so.
function remember() {
  const kept = read(FILTERS, {});
  if (document.querySelector("form[data-filters]")) {
    kept[location.pathname] = present();
    localStorage.setItem(FILTERS, JSON.stringify(kept));
  }
  for (const link of document.querySelectorAll(".nav a, .crumbs a")) {
    const filters = kept[link.pathname] ?? "";
    if (link.closest(".crumbs") && !filters) continue;
    link.search = filters;
    link.querySelector(".filtered")?.remove();
    if (!filters || !link.closest(".nav")) continue;
    const mark = document.createElement("span");
    mark.className = "filtered";
    mark.textContent = "filtered";
    link.append(" ", mark);
  }
}

function drawViews(place) {
  const views = read(VIEWS, []);
  for (const old of place.querySelectorAll(".saved")) old.remove();
  for (const view of [...views].reverse()) {
    const item = document.createElement("span");
    item.className = "saved";
    const link = document.createElement("a");
    link.className = "view";
    link.href = `${location.pathname}?${view.search}`;
    link.textContent = view.name;
    if (view.search === present()) link.setAttribute("aria-current", "true");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "plain small";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Delete the view ${view.name}`);
    remove.addEventListener("click", () => {
      localStorage.setItem(VIEWS, JSON.stringify(read(VIEWS, []).filter(({ name }) => name !== view.name)));
      drawViews(place);
    });
    item.append(link, remove);
    place.prepend(item);
  }
}

export function startFilters() {
  remember();
  document.addEventListener("section-changed", remember);
  window.addEventListener("pageshow", (event) => { if (event.persisted) remember(); });
  document.addEventListener("click", (event) => {
    // Back to the page before, as it was, if this one was opened from it.
    const back = event.target.closest("a[data-back]");
    if (!back || !document.referrer) return;
    const from = new URL(document.referrer);
    if (from.origin !== location.origin || from.pathname !== location.pathname) return;
    event.preventDefault();
    history.back();
  });
  const place = document.querySelector("[data-saved-views]");
  if (!place) return;
  drawViews(place);
  document.querySelector("form[data-save-view]").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = event.target.elements.name.value.trim();
    if (!name) return;
    const others = read(VIEWS, []).filter((view) => view.name !== name);
    localStorage.setItem(VIEWS, JSON.stringify([...others, { name, search: present() }]));
    event.target.reset();
    event.target.closest("dialog").close();
    drawViews(place);
  });
}

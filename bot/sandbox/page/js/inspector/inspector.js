// The drawer with the traffic between the app and Slack, and the problems real Slack would report.

import { read } from "../api.js";
import { fill, h, icon, iconButton } from "../dom.js";
import { coalesced } from "../stream.js";
import { secondsOf } from "../time.js";
import { json } from "./json.js";

const MAX_ROWS = 400;

export class Inspector {
  #after = 0;
  #entries = [];
  #problems = [];
  #chosen = null;
  #tab = "calls";
  #reads = coalesced(() => this.#read());

  constructor(element) {
    this.element = element;
    this.badge = h("span", { class: "badge", hidden: true });
    this.button = h("button", { type: "button", class: "button small inspector-button", "aria-label": "Inspector", "aria-expanded": "false", "aria-controls": "inspector", onclick: () => this.toggle() }, icon("pulse"), h("span", { class: "wide-only" }, "Inspector"), this.badge);
    this.filter = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter calls", oninput: () => this.#draw() });
    this.failures = h("input", { type: "checkbox", onchange: () => this.#draw() });
    this.rows = h("div", { class: "inspector-rows" });
    this.detail = h("div", { class: "inspector-detail", "aria-label": "Call details", role: "region", tabindex: "-1" });
    this.tabs = h("div", { role: "tablist", class: "tabs", "aria-label": "Inspector views" });
    fill(
      element,
      h(
        "header",
        { class: "inspector-header" },
        h("h2", null, "Inspector"),
        this.tabs,
        h("span", { class: "spacer" }),
        h("label", { class: "inspector-check" }, this.failures, "failures only"),
        this.filter,
        iconButton("close", "Close inspector", () => this.toggle(false)),
      ),
      h("div", { class: "inspector-body" }, this.rows, this.detail),
    );
  }

  get isOpen() {
    return !this.element.hidden;
  }

  toggle(open = !this.isOpen) {
    this.element.hidden = !open;
    document.getElementById("shell").classList.toggle("with-inspector", open);
    this.button.setAttribute("aria-expanded", String(open));
    if (!open) return this.button.focus();
    this.#drawTabs();
    return this.refresh();
  }

  // A call, a delivery or a problem was logged.
  refresh() {
    return this.#reads();
  }

  async #read() {
    const problems = await read("problems");
    if (problems.ok !== false) this.#problems = problems.problems ?? [];
    this.badge.hidden = !this.#problems.length;
    this.badge.textContent = String(this.#problems.length);
    const count = this.#problems.length;
    this.button.setAttribute("aria-label", count ? `Inspector, ${count} ${count === 1 ? "problem" : "problems"}` : "Inspector");
    this.button.title = count ? `Slack would have complained ${count === 1 ? "once" : `${count} times`}` : "";
    if (!this.isOpen) return;
    const answer = await read("inspector", { after: this.#after });
    if (answer.ok === false) return;
    const fresh = answer.entries.filter((entry) => entry.n > this.#after);
    this.#after = Math.max(this.#after, ...fresh.map((entry) => entry.n));
    this.#entries = [...this.#entries, ...fresh].slice(-MAX_ROWS);
    this.#drawTabs();
    this.#draw();
  }

  #drawTabs() {
    const tab = (name, label, count) =>
      h("button", { type: "button", role: "tab", "aria-selected": String(this.#tab === name), onclick: () => this.#show(name) }, label, count ? h("span", { class: name === "problems" ? "badge" : "count" }, String(count)) : null);
    fill(this.tabs, tab("calls", "Calls", this.#entries.length), tab("problems", "Slack would have complained", this.#problems.length));
  }

  #show(name) {
    this.#tab = name;
    this.#chosen = null;
    this.#drawTabs();
    this.#draw();
  }

  #draw() {
    const isEnd = this.rows.scrollHeight - this.rows.scrollTop - this.rows.clientHeight < 40;
    this.element.classList.toggle("showing-problems", this.#tab === "problems");
    const drawn = this.#tab === "calls" ? this.#calls() : this.#complaints();
    fill(this.rows, drawn.length ? drawn : h("p", { class: "inspector-none" }, this.#tab === "calls" ? "Nothing yet." : "Nothing: real Slack would have accepted everything."));
    if (isEnd && this.#chosen === null) this.rows.scrollTop = this.rows.scrollHeight;
    if (this.#chosen === null) fill(this.detail, h("p", { class: "inspector-none" }, "Choose a line to see its request and response."));
  }

  #calls() {
    const wanted = this.filter.value.trim().toLowerCase();
    return this.#entries
      .filter((entry) => entry.name.toLowerCase().includes(wanted) && (!this.failures.checked || isFailure(entry)))
      .map((entry) => this.#row(entry));
  }

  #row(entry) {
    const isApi = entry.direction === "api";
    return h(
      "button",
      { type: "button", class: `call ${isFailure(entry) ? "call-failed" : ""}`, "aria-pressed": String(this.#chosen === entry.n), dataset: { n: entry.n }, onclick: () => this.#choose(entry) },
      h("span", { class: "call-time" }, secondsOf(dateOf(entry.at))),
      h("span", { class: `call-way way-${entry.direction}`, title: isApi ? "The app called Slack" : "Slack delivered to the app" }, isApi ? "app → Slack" : "Slack → app"),
      h("span", { class: "call-name" }, entry.name),
      h("span", { class: "call-result" }, isFailure(entry) ? (entry.error ?? String(entry.status ?? "failed")) : "ok"),
      h("span", { class: "call-ms" }, entry.ms === null || entry.ms === undefined ? "" : `${Math.round(entry.ms)} ms`),
    );
  }

  #choose(entry) {
    this.#chosen = entry.n;
    for (const row of this.rows.children) row.setAttribute?.("aria-pressed", String(row.dataset.n === String(entry.n)));
    fill(
      this.detail,
      h("h3", null, entry.name, entry.status ? h("span", { class: "count" }, String(entry.status)) : null),
      entry.error && h("p", { class: "call-error" }, entry.error),
      h("h4", null, "Request"),
      json(entry.request),
      h("h4", null, "Response"),
      json(entry.response),
    );
    this.detail.scrollTop = 0;
  }

  #complaints() {
    return this.#problems.map((problem) => {
      const name = h("span", { class: "complaint-name" }, problem.name);
      const kind = h("span", { class: "complaint-kind" }, problem.kind);
      return h("div", { class: "complaint", role: "listitem" }, h("span", { class: "complaint-mark", "aria-hidden": "true" }, "!"), h("div", null, h("p", null, name, kind, h("span", { class: "call-time" }, secondsOf(dateOf(problem.at)))), h("p", null, problem.what)));
    });
  }
}

const isFailure = (entry) => entry.ok === false || Number(entry.status) >= 400;
const dateOf = (at) => new Date(typeof at === "number" ? at * 1000 : at);

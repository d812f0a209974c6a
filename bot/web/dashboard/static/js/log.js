// The log of a run: of all lines only those in sight are in the page, and a screen around them.
//
// The lines come in chunks of HTML.  Their heights differ; of a line that was never drawn a height
// is supposed, and whenever one turns out to be another, what the person looks at stays in place.
import { toast } from "./acts.js";
import { Heights } from "./heights.js";
import { Search } from "./log_search.js";

const AROUND_PX = 500;
const KEPT_CHUNKS = 40;
const MAX_LOADS = 4;
const RETRY_MS = 2000;
const AT_END_PX = 8;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

function sinceStart(ms) {
  const seconds = Math.abs(ms) / 1000;
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return `${ms < 0 ? "−" : "+"}${hours ? `${hours}:${rest}` : rest}`;
}

export class Log {
  constructor(root) {
    this.root = root;
    this.area = root.querySelector("[data-area]");
    this.space = root.querySelector("[data-space]");
    this.list = root.querySelector("[data-rows]");
    this.more = root.querySelector("[data-more]");
    const { run, show, version, chunk, started } = root.dataset;
    this.url = `/runs/${encodeURIComponent(run)}/log`;
    this.show = show;
    this.version = version;
    this.size = Number(chunk);
    this.started = Number(started);
    this.count = 0;
    this.chunks = new Map();
    this.loading = new Set();
    this.opened = new Set();
    this.marked = null;
    // What stays in its place: the end, or a line with its distance from the top.
    this.pin = null;
    this.lastTop = 0;
    this.seen = 0;
    this.width = this.area.clientWidth;
    this.heights = new Heights(this.size);
    this.search = new Search(this);
    this.isRelative = localStorage.getItem("signalbox-log-times") === "since";
    this.takeFirst();
    this.listen();
    this.resize();
    this.showTimes();
    this.followHash();
    this.draw();
    root.dataset.ready = "yes";
  }

  // The lines that the server has put into the page.
  takeFirst() {
    const lines = [...this.list.children].map((row) => row.outerHTML);
    this.list.replaceChildren();
    if (lines.length) this.chunks.set(0, { rows: lines, isComplete: true });
  }

  listen() {
    let frame = 0;
    this.schedule = () => { frame ||= requestAnimationFrame(() => { frame = 0; this.draw(); }); };
    this.area.addEventListener("scroll", () => {
      const { scrollTop } = this.area;
      // Not what `draw` has done, so it was the person: from now on nothing else moves.
      if (Math.abs(scrollTop - this.lastTop) > 1) this.pin = this.isAtEnd() ? { end: true } : null;
      this.lastTop = scrollTop;
      this.schedule();
    }, { passive: true });
    this.list.addEventListener("toggle", (event) => {
      const row = event.target.closest("[data-line]");
      if (!row) return;
      const key = `${row.dataset.line}.${[...row.querySelectorAll("details")].indexOf(event.target)}`;
      if (event.target.open) this.opened.add(key); else this.opened.delete(key);
      this.schedule();
    }, true);
    this.list.addEventListener("click", (event) => {
      const number = event.target.closest(".ln");
      if (number) { event.preventDefault(); this.mark(Number(number.textContent), event.shiftKey); }
    });
    this.more.addEventListener("click", () => { this.pin = { end: true }; this.area.focus(); this.draw(); });
    this.root.querySelector("[data-times]").addEventListener("click", () => {
      this.isRelative = !this.isRelative;
      localStorage.setItem("signalbox-log-times", this.isRelative ? "since" : "clock");
      this.showTimes();
    });
    document.addEventListener("section-changed", (event) => {
      if (event.target.id === "log-head") this.resize();
    });
    window.addEventListener("hashchange", () => this.followHash());
    window.addEventListener("beforeprint", () => this.draw(20000));
    new ResizeObserver(() => {
      if (this.area.clientWidth !== this.width) {
        this.width = this.area.clientWidth;
        this.keep();
        this.heights.forget();
      }
      this.schedule();
    }).observe(this.area);
  }

  isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.area;
    return scrollTop + clientHeight >= scrollHeight - AT_END_PX;
  }

  // Stay at the line that is at the top now.
  keep() {
    if (this.pin) return;
    const first = this.heights.at(this.area.scrollTop);
    this.pin = { index: first.index, offset: first.top - this.area.scrollTop, isBrief: true };
  }

  // The log has as many lines as the head of the page says.
  resize() {
    const head = document.getElementById("log-size");
    const count = Number(head.dataset.count);
    if (count === this.count && this.count) return;
    const isFirst = this.count === 0 && !this.root.dataset.ready;
    this.count = count;
    this.heights.resize(count);
    this.root.querySelector("[data-empty]").hidden = count > 0;
    if (isFirst && "growing" in head.dataset) this.pin = { end: true };
    // Only what comes while somebody looks is new.
    if (isFirst) this.seen = count;
    this.list.setAttribute("aria-label", `Lines, ${count} in all`);
    if (!isFirst) this.search.renew();
    this.schedule();
  }

  html(index) {
    return this.chunks.get(Math.floor(index / this.size))?.rows[index % this.size];
  }

  hasAll(number) {
    const known = this.chunks.get(number);
    const rows = Math.min(this.size, this.count - number * this.size);
    return rows <= 0 || (known !== undefined && (known.isComplete || known.rows.length >= rows));
  }

  async load(number) {
    if (this.loading.size >= MAX_LOADS || this.loading.has(number)) return;
    this.loading.add(number);
    try {
      const answer = await fetch(`${this.url}/lines/${number}?show=${this.show}&v=${this.version}`);
      if (!answer.ok) throw new Error((await answer.json()).message);
      const { rows, count, complete } = await answer.json();
      this.chunks.delete(number);
      this.chunks.set(number, { rows, isComplete: complete });
      while (this.chunks.size > KEPT_CHUNKS) this.chunks.delete(this.chunks.keys().next().value);
      if (!complete && count > this.count) { this.count = count; this.heights.resize(count); }
      delete this.root.dataset.problem;
    } catch (error) {
      if (!this.root.dataset.problem) toast(`Lines could not be loaded: ${error.message}`, true);
      this.root.dataset.problem = "yes";
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
    this.loading.delete(number);
    // Lines that waited for these are drawn anew.
    for (const row of [...this.list.children]) {
      if (Math.floor(row.index / this.size) === number && row.isWaiting) row.remove();
    }
    this.draw();
  }

  draw(around = AROUND_PX) {
    const { area, heights } = this;
    const view = area.clientHeight;
    if (!this.pin) this.keep();
    let top = this.wantedTop(view);
    // What is in sight changes with the heights that are found out: twice is enough but for jumps.
    for (let round = 0; round < 3; round += 1) {
      const first = heights.at(top - around).index;
      const last = Math.min(heights.at(top + view + around).index, this.count - 1);
      this.fill(first, last);
      const isSame = this.measure();
      this.space.style.height = `${heights.total}px`;
      this.list.style.transform = `translateY(${heights.topOf(first)}px)`;
      top = this.wantedTop(view);
      if (isSame) break;
    }
    if (Math.abs(area.scrollTop - top) >= 1) {
      area.scrollTop = top;
      this.lastTop = area.scrollTop;
    }
    if (this.pin?.isBrief) this.pin = null;
    const isAtEnd = this.pin?.end || this.isAtEnd();
    if (isAtEnd) this.seen = this.count;
    const missed = this.count - this.seen;
    this.more.hidden = missed <= 0;
    if (missed > 0) this.more.textContent = `↓ ${missed} new ${missed === 1 ? "line" : "lines"}`;
    this.search.highlight();
  }

  wantedTop(view) {
    const end = Math.max(this.heights.total - view, 0);
    if (this.pin?.end) return end;
    return Math.min(Math.max(this.heights.topOf(this.pin.index) - this.pin.offset, 0), end);
  }

  // The rows of these lines, and no others.
  fill(first, last) {
    for (const row of [...this.list.children]) {
      if (row.index < first || row.index > last) row.remove();
    }
    let next = this.list.firstElementChild;
    for (let index = first; index <= last; index += 1) {
      if (next?.index === index) { next = next.nextElementSibling; continue; }
      const html = [];
      const from = index;
      while (index <= last && next?.index !== index) { html.push(this.html(index)); index += 1; }
      const fragment = document.createElement("template");
      fragment.innerHTML = html.map((one) => one ?? '<div class="ll is-waiting" role="listitem"></div>').join("");
      [...fragment.content.children].forEach((row, place) => this.dress(row, from + place, html[place]));
      this.list.insertBefore(fragment.content, next);
      index -= 1;
    }
    for (let chunk = Math.floor(first / this.size); chunk <= Math.floor(last / this.size); chunk += 1) {
      if (!this.hasAll(chunk)) this.load(chunk);
    }
  }

  dress(row, index, html) {
    row.index = index;
    row.isWaiting = html === undefined;
    row.setAttribute("aria-posinset", index + 1);
    row.setAttribute("aria-setsize", this.count);
    if (row.isWaiting) { row.style.height = `${this.heights.of(index)}px`; return; }
    const line = Number(row.dataset.line);
    row.classList.toggle("is-marked", this.marked !== null && line >= this.marked[0] && line <= this.marked[1]);
    row.classList.toggle("is-hit", this.search.isCurrent(index));
    for (const part of row.querySelectorAll("[data-f], [data-g]")) {
      const [light, dark] = (part.dataset.f ?? "").split(" ");
      if (light) part.style.color = dark ? `light-dark(${light}, ${dark})` : light;
      if (part.dataset.g) part.style.backgroundColor = part.dataset.g;
    }
    row.querySelectorAll("details").forEach((fold, place) => {
      if (this.opened.has(`${line}.${place}`)) fold.open = true;
    });
    this.showTime(row);
  }

  // The heights of the rows that are drawn; whether they were known.
  measure() {
    let isSame = true;
    for (const row of this.list.children) {
      if (!row.isWaiting && this.heights.set(row.index, row.offsetHeight)) isSame = false;
    }
    return isSame;
  }

  showTime(row) {
    const at = Number(row.dataset.at);
    const time = row.querySelector(".la");
    time.textContent = this.isRelative ? sinceStart(at - this.started) : clock.format(at);
    time.title = moment.format(at);
  }

  showTimes() {
    this.root.querySelector("[data-times]").setAttribute("aria-pressed", String(this.isRelative));
    for (const row of this.list.children) if (!row.isWaiting) this.showTime(row);
  }

  // Go to a place among the lines that are shown, from 0.
  goTo(index) {
    this.pin = { index: Math.max(Math.min(index, this.count - 1), 0), offset: Math.round(this.area.clientHeight / 3) };
    this.draw();
  }

  async followHash() {
    const found = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    if (!found) return;
    const from = Number(found[1]);
    this.setMarked([from, Math.max(Number(found[2] ?? from), from)]);
    let place = from;
    if (this.show !== "all") {
      const answer = await fetch(`${this.url}/place?show=${this.show}&line=${from}`);
      if (!answer.ok) return;
      ({ place } = await answer.json());
    }
    this.goTo(place - 1);
  }

  setMarked(lines) {
    this.marked = lines;
    for (const row of this.list.children) {
      const line = Number(row.dataset.line);
      row.classList.toggle("is-marked", line >= lines[0] && line <= lines[1]);
    }
  }

  // A press on a number: the address leads to the line, or with shift to several.
  async mark(line, isRange) {
    const lines = isRange && this.marked
      ? [Math.min(this.marked[0], line), Math.max(this.marked[0], line)]
      : [line, line];
    this.setMarked(lines);
    const hash = lines[0] === lines[1] ? `#L${line}` : `#L${lines[0]}-L${lines[1]}`;
    history.replaceState(null, "", hash);
    try {
      await navigator.clipboard.writeText(location.href);
      toast("Link copied.");
    } catch {
      // Without the right to write there, the address has it.
    }
  }
}

export function start(root) {
  return new Log(root);
}

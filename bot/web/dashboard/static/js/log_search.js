// Search in a log: the server finds the lines, this steps through them and marks the words.
const PAUSE_MS = 180;
const RENEW_MS = 3000;

export class Search {
  constructor(log) {
    this.log = log;
    this.text = "";
    this.places = [];
    this.count = 0;
    this.isComplete = true;
    this.current = -1;
    this.turn = 0;
    const { root } = log;
    this.field = root.querySelector("[data-search]");
    this.status = root.querySelector("[data-hits]");
    this.steps = root.querySelectorAll("[data-step]");
    let timer = 0;
    this.field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.find(true), PAUSE_MS);
    });
    this.field.form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(timer);
      if (this.field.value !== this.text) this.find(true);
      else this.step(1);
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); this.step(-1); }
      if (event.key === "Escape") { event.preventDefault(); log.area.focus(); }
    });
    for (const button of this.steps) button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input, textarea, select, dialog[open]")) return;
      if (event.key === "n") this.step(1);
      else if (event.key === "N") this.step(-1);
    });
  }

  // After lines were added.
  renew() {
    if (!this.text || this.renewal) return;
    this.renewal = setTimeout(() => { this.renewal = 0; this.find(false); }, RENEW_MS);
  }

  async find(goes) {
    const text = this.field.value;
    this.turn += 1;
    const { turn } = this;
    if (!text) {
      Object.assign(this, { text, places: [], count: 0, current: -1 });
      this.show();
      this.log.draw();
      return;
    }
    this.status.textContent = "…";
    const query = new URLSearchParams({ q: text, show: this.log.show });
    try {
      const answer = await fetch(`${this.log.url}/find?${query}`);
      const content = await answer.json();
      if (turn !== this.turn) return;
      if (!answer.ok) throw new Error(content.message);
      this.text = text;
      this.places = content.places;
      this.count = content.count;
      this.isComplete = content.complete;
    } catch (error) {
      if (turn === this.turn) this.status.textContent = error.message;
      return;
    }
    if (goes) {
      this.current = -1;
      this.step(1);
    }
    this.show();
    this.log.draw();
  }

  // To the next hit from here, or the one before; after the last comes the first.
  step(by) {
    const { places, log } = this;
    if (!places.length) return;
    if (this.current < 0) {
      const here = log.heights.at(log.area.scrollTop).index + 1;
      const next = places.findIndex((place) => place >= here);
      this.current = by > 0 ? Math.max(next, 0) : (next < 0 ? places.length : next) - 1;
      if (this.current < 0) this.current = places.length - 1;
    } else {
      this.current = (this.current + by + places.length) % places.length;
    }
    for (const row of log.list.children) row.classList.toggle("is-hit", this.isCurrent(row.index));
    log.goTo(places[this.current] - 1);
    this.show();
  }

  isCurrent(index) {
    return this.current >= 0 && this.places[this.current] === index + 1;
  }

  show() {
    const number = (value) => value.toLocaleString();
    for (const button of this.steps) button.disabled = !this.places.length;
    if (!this.text) this.status.textContent = "";
    else if (!this.count) this.status.textContent = "no hits";
    else {
      const all = number(this.count) + (this.isComplete ? "" : "+");
      this.status.textContent = `${number(this.current + 1)} of ${all}`;
    }
  }

  // The words in the lines that are drawn.
  highlight() {
    if (!("highlights" in CSS)) return;
    CSS.highlights.delete("log-hit");
    if (!this.text) return;
    const wanted = this.text.toLowerCase();
    const ranges = [];
    for (const row of this.log.list.children) {
      const isHit = this.isCurrent(row.index);
      const texts = document.createTreeWalker(row.querySelector(".lt") ?? row, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const node = texts.currentNode;
        const content = node.data.toLowerCase();
        // Letters whose other case is longer would shift the marks.
        if (content.length !== node.data.length) continue;
        for (let at = content.indexOf(wanted); at >= 0; at = content.indexOf(wanted, at + wanted.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + wanted.length);
          ranges.push(range);
          if (isHit) node.parentElement.closest("details")?.setAttribute("open", "");
        }
      }
    }
    CSS.highlights.set("log-hit", new Highlight(...ranges));
  }
}

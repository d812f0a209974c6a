// Marked rows: one confirmation lists what will happen to each, and then what has happened.
import { fieldsOf, request } from "./acts.js";

const AT_A_TIME = 4;
// Why an act leaves a marked row as it is; empty if it does not.
const SKIPPED = {
  kill: ({ live, stopping, own }) => {
    if (live === undefined) return "has ended already";
    if (stopping !== undefined) return "is being stopped already";
    return own === undefined ? "is somebody else's; an operator may kill it" : "";
  },
  continue: ({ live, continues, own }) => {
    if (live !== undefined) return "has not ended";
    if (continues === undefined) return "cannot be continued";
    return own === undefined ? "is somebody else's; an operator may continue it" : "";
  },
  "still-fine": ({ ended, quiet }) => {
    if (ended !== undefined) return "has ended already";
    return quiet === undefined ? "is not about silence" : "";
  },
};
const skipOf = (act, mark) => (SKIPPED[act] ?? (({ ended }) => (ended === undefined ? "" : "has ended already")))(mark.dataset);

function marks() {
  return [...document.querySelectorAll("[data-mark]:checked")];
}

function count() {
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  const number = marks().length;
  bar.hidden = number === 0;
  bar.querySelector("[data-bulk-count]").textContent = `${number} marked`;
  const all = document.querySelector("[data-mark-all]");
  if (all) {
    const boxes = document.querySelectorAll("[data-mark]").length;
    all.checked = boxes > 0 && number === boxes;
    all.indeterminate = number > 0 && number < boxes;
  }
}

function line(mark, words) {
  const item = document.createElement("li");
  const task = document.createElement("strong");
  task.textContent = mark.dataset.task;
  const facts = document.createElement("span");
  facts.className = "muted small";
  facts.textContent = mark.dataset.state;
  const result = document.createElement("span");
  result.className = "bulk-what";
  result.textContent = words;
  item.append(task, facts, result);
  return item;
}

function plan(act, form) {
  const sessions = new Set();
  const list = form.querySelector("[data-bulk-list]");
  list.replaceChildren();
  const tasks = [];
  for (const mark of marks()) {
    let skipped = skipOf(act, mark);
    // Legs of one session go on together.
    if (!skipped && act === "continue" && sessions.has(mark.dataset.session)) skipped = "is of a session above, which goes on once";
    sessions.add(mark.dataset.session);
    const item = line(mark, skipped ? `Left as it is: ${skipped}.` : form.dataset.will);
    list.append(item);
    if (!skipped) tasks.push({ mark, what: item.querySelector(".bulk-what"), key: crypto.randomUUID?.() ?? String(Math.random()).slice(2), isDone: false });
  }
  return tasks;
}

async function perform(task, form, body) {
  const { mark, what } = task;
  const url = form.dataset.url.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(mark.dataset[name] ?? mark.value));
  const own = form.dataset.adds ? { [form.dataset.adds]: mark.dataset.session } : {};
  what.textContent = "…";
  try {
    const answer = await request(`POST ${url}`, { ...body, ...own }, task.key);
    task.isDone = true;
    what.className = "bulk-what tone-clean";
    what.textContent = form.dataset.done.replace("{run_id}", answer.run_id ?? "");
    mark.checked = false;
  } catch (error) {
    what.className = "bulk-what tone-failed";
    what.textContent = error.message;
  }
}

function open(act) {
  const dialog = document.getElementById(`bulk-${act}`);
  const form = dialog.querySelector("form");
  const go = form.querySelector("[data-bulk-go]");
  const summary = form.querySelector("[data-bulk-result]");
  const tasks = plan(act, form);
  go.dataset.words ??= go.textContent;
  go.textContent = tasks.length ? `${go.dataset.words} ${tasks.length}` : "Nothing to do";
  go.disabled = tasks.length === 0;
  go.hidden = false;
  summary.textContent = "";
  form.onsubmit = async (event) => {
    event.preventDefault();
    const body = fieldsOf(form);
    const todo = tasks.filter((task) => !task.isDone);
    go.disabled = true;
    const next = async () => {
      for (let task = todo.shift(); task; task = todo.shift()) await perform(task, form, body);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, next));
    const failed = tasks.filter((task) => !task.isDone).length;
    summary.textContent = `${tasks.length - failed} of ${tasks.length} done.`;
    go.hidden = failed === 0;
    go.disabled = false;
    go.textContent = "Try the others again";
    count();
  };
  dialog.showModal();
}

export function startMarks() {
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-mark-all]")) {
      for (const box of document.querySelectorAll("[data-mark]")) box.checked = event.target.checked;
    }
    if (event.target.matches("[data-mark], [data-mark-all]")) count();
  });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-bulk-act]");
    if (opener) open(opener.dataset.bulkAct);
    if (event.target.closest("[data-bulk-clear]")) {
      for (const box of marks()) box.checked = false;
      count();
    }
  });
  document.addEventListener("section-changed", count);
  count();
}

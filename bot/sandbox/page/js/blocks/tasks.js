// plan and task_card blocks: steps with their state.

import { h } from "../dom.js";
import { link } from "../text/links.js";
import { plain } from "../text/plain.js";
import { richText } from "./rich_text.js";

const WORDS = { pending: "to do", in_progress: "in progress", complete: "done", error: "failed" };

export function taskCard(task) {
  const rest = [task.details, task.output].filter(Boolean).map(richText);
  const sources = (task.sources ?? []).map((source) => link(source.url, source.text ?? source.url));
  const title = [h("span", { class: `task-state state-${task.status}`, role: "img", "aria-label": WORDS[task.status] ?? task.status }), h("span", null, plain(task.title))];
  if (!rest.length && !sources.length) return h("div", { class: "task-card" }, title);
  return h("details", { class: "task-card", dataset: { keep: `task-${task.task_id}` } }, h("summary", null, title), rest, sources.length ? h("p", { class: "task-sources" }, sources) : null);
}

export const plan = (block) =>
  h("div", { class: "block-card plan" }, h("div", { class: "card-title" }, plain(block.title)), (block.tasks ?? []).map(taskCard));

// Acts: a button or a form names a request of the API, and the dialog that asks first.
//
//   <button data-act="POST /api/v1/…" data-body='{"force": true}' data-dialog="kill-dialog">
//   <form data-act="POST /api/v1/…">: its fields are the body; empty ones are left out.
//   data-then: where to go afterwards; {run_id} is a field of the answer.
//   data-done: what to say afterwards.
//   <dialog data-opens-with="name">: the module with this name is told when it is opened.
//   A {name} in the act stands for the field of that name, which is then no part of the body.
const csrf = () => document.querySelector('meta[name="csrf-token"]')?.content ?? "";

export function toast(words, isBad = false) {
  const element = document.createElement("div");
  element.className = isBad ? "toast is-bad" : "toast";
  element.textContent = words;
  document.getElementById("toasts")?.append(element);
  setTimeout(() => element.remove(), isBad ? 12000 : 5000);
}

export async function request(act, body, key) {
  const [method, url] = act.split(" ");
  const answer = await fetch(url, {
    method,
    headers: {
      "content-type": "application/json",
      "x-csrf-token": csrf(),
      ...(key ? { "idempotency-key": key } : {}),
    },
    body: method === "GET" || method === "DELETE" ? undefined : JSON.stringify(body ?? {}),
  });
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  const content = isJson ? await answer.json() : {};
  // Its marks of literals are not for pages.
  if (!answer.ok) throw new Error(content.message?.replaceAll("`", "") ?? `The server answered ${answer.status}.`);
  return content;
}

export function fieldsOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled) continue;
    if (field.dataset.type === "list") {
      body[field.name] ??= [];
      if (field.checked) body[field.name].push(field.value);
    } else if (field.type === "checkbox") {
      if (field.checked) body[field.name] = field.value === "on" ? true : field.value;
    } else if (field.type === "radio") {
      if (field.checked) body[field.name] = field.value;
    } else if (field.value !== "") {
      const isNumber = field.dataset.type === "number" || field.type === "number";
      body[field.name] = isNumber ? Number(field.value) * Number(field.dataset.unit ?? 1) : field.value;
    }
  }
  return body;
}

// Not as attributes, which a live update of the page would take away.
const busy = new WeakSet();
const keys = new WeakMap();

async function perform(element, body, button) {
  if (busy.has(element)) return;
  busy.add(element);
  // The same for each press of this button until it succeeds, so that two presses are one act.
  if (!keys.has(element)) keys.set(element, crypto.randomUUID?.() ?? String(Math.random()).slice(2));
  button?.setAttribute("aria-busy", "true");
  const place = element.querySelector("[data-error]");
  if (place) place.hidden = true;
  const sent = { ...body };
  const act = element.dataset.act.replace(/\{(\w+)\}/g, (_, name) => {
    delete sent[name];
    return encodeURIComponent(body[name] ?? "");
  });
  try {
    const answer = await request(act, sent, keys.get(element));
    keys.delete(element);
    element.closest("dialog")?.close();
    if (element.matches("form")) element.reset();
    const then = element.dataset.then;
    if (then) location.assign(then.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(answer[name])));
    else toast(element.dataset.done ?? answer.message ?? "Done.");
  } catch (error) {
    if (place) { place.textContent = error.message; place.hidden = false; }
    else toast(error.message, true);
  } finally {
    busy.delete(element);
    button?.removeAttribute("aria-busy");
  }
}

export function startActs() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) {
      event.preventDefault();
      const dialog = document.getElementById(opener.dataset.opens);
      dialog?.showModal();
      // A dialog with a script of its own.
      const { opensWith } = dialog?.dataset ?? {};
      if (opensWith) import(`./${opensWith}.js`).then((module) => module.open(dialog, opener));
      return;
    }
    const closer = event.target.closest("[data-closes]");
    if (closer) { closer.closest("dialog")?.close(); return; }
    const button = event.target.closest("button[data-act]");
    if (button) {
      event.preventDefault();
      perform(button, JSON.parse(button.dataset.body ?? "{}"), button);
    }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-act]");
    if (!form) return;
    event.preventDefault();
    perform(form, { ...JSON.parse(form.dataset.body ?? "{}"), ...fieldsOf(form) }, event.submitter);
  });
}

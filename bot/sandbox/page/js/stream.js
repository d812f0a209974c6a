// The server's events; each reconnect waits longer than the one before.

import { person, notify } from "./world.js";

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 8_000;

let source = null;
let wait = FIRST_WAIT_MS;
let timer = 0;

// `onEvent(event)` for each one; `onOpen()` after every (re)connection: read again whatever was missed.
export function listen(onEvent, onOpen) {
  clearTimeout(timer);
  source?.close();
  const mine = new EventSource(`/_emu/stream?user=${encodeURIComponent(person() ?? "")}`);
  source = mine;
  mine.onopen = () => {
    wait = FIRST_WAIT_MS;
    notify("live", true);
    onOpen();
  };
  mine.onmessage = (message) => {
    const event = parse(message.data);
    if (event) onEvent(event);
  };
  mine.onerror = () => {
    if (source !== mine) return;
    mine.close();
    notify("live", false);
    timer = setTimeout(() => listen(onEvent, onOpen), wait);
    wait = Math.min(wait * 2, MAX_WAIT_MS);
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    console.info("ignored an event that is not JSON");
    return null;
  }
}

// Runs one reading at a time, and one more if something changed in the meantime.
export function coalesced(action) {
  let running = false;
  let again = false;
  return async function run() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        await action();
      } while (again);
    } finally {
      running = false;
    }
  };
}

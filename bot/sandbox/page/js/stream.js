// The server's events, with a reconnect that waits a little longer each time.

import { person, notify } from "./world.js";

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 8_000;

let source = null;
let wait = FIRST_WAIT_MS;
let timer = 0;

// `onEvent(event)` for each one; `onOpen()` after every (re)connection: whatever was missed must be read again.
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
    console.info("an event that is no JSON was left out");
    return null;
  }
}

// One reading at a time, and one more if something happened meanwhile.
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

// Live updates: the server sends the sections of this page that have changed.
import { morph } from "./morph.js";
import { showTimes } from "./times.js";

const MAX_WAIT_MS = 30000;

export function startLive() {
  const url = document.body.dataset.live;
  if (!url) return;
  const banner = document.getElementById("connection");
  let source = null;
  let waitMs = 1000;
  let timer = null;

  const say = (words) => {
    banner.textContent = words;
    banner.hidden = words === "";
  };

  function connect() {
    timer = null;
    source = new EventSource(url);
    source.addEventListener("section", (event) => {
      const { name, html, digest } = JSON.parse(event.data);
      const section = document.getElementById(name);
      if (!section || section.dataset.digest === digest) return;
      morph(section, html);
      section.dataset.digest = digest;
      showTimes(section);
      section.dispatchEvent(new CustomEvent("section-changed", { bubbles: true }));
    });
    source.addEventListener("current", (event) => {
      waitMs = 1000;
      say("");
      document.body.dataset.liveState = "current";
      document.title = `${JSON.parse(event.data).title} · Signalbox`;
    });
    source.addEventListener("problem", (event) => say(JSON.parse(event.data).words));
    source.addEventListener("recovered", () => say(""));
    source.onerror = () => {
      document.body.dataset.liveState = "interrupted";
      say("The connection was lost. This page shows what it knew; it connects again by itself.");
      if (source.readyState === EventSource.CLOSED) reconnect();
    };
  }

  async function reconnect() {
    source.close();
    // The server refused: perhaps nobody is signed in any more.
    try {
      const answer = await fetch("/api/v1/dashboard/sessions", { headers: { accept: "application/json" } });
      if (answer.status === 401) {
        say("You are signed out. Load the page again to sign in.");
        return;
      }
    } catch {
      // It cannot be reached: wait, and try again.
    }
    timer = setTimeout(connect, waitMs);
    waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
  }

  connect();
  // A page in the background of a phone is frozen, and its connection with it.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer !== null) { clearTimeout(timer); connect(); }
  });
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
}

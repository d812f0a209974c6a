// Assembles the page: reads the workspace, follows the server's events, updates the panes.

import { ChannelPane } from "./chat/channel.js";
import { ThreadPane } from "./chat/thread.js";
import { Inspector } from "./inspector/inspector.js";
import { syncModals } from "./modal/modal.js";
import { place, watchAddress } from "./route.js";
import { Sidebar } from "./sidebar.js";
import { coalesced, listen } from "./stream.js";
import { markUnread, on, readWorld } from "./world.js";

const RETRY_MS = 1_000;
const element = (id) => document.getElementById(id);

const shell = element("shell");
const scrim = element("scrim");
const openSidebar = (open) => {
  shell.classList.toggle("with-sidebar", open);
  scrim.hidden = !open;
};

const sidebar = new Sidebar(element("sidebar"));
const inspector = new Inspector(element("inspector"));
const channel = new ChannelPane(element("channel"), { openSidebar: () => openSidebar(true), inspectorButton: inspector.button });
const thread = new ThreadPane(element("thread"));
const reread = coalesced(readWorld);
const openedAt = Date.now() / 1000;

function onEvent(event) {
  switch (event.type) {
    case "message":
    case "ephemeral":
    case "reaction":
      return onMessageEvent(event);
    case "home":
      return place.isHome ? channel.home.published() : undefined;
    case "inspector":
    case "problem":
      return inspector.refresh();
    case "reset":
      return location.reload();
    default:
      return reread();
  }
}

function onMessageEvent(event) {
  if (event.channel !== place.channel) {
    const isReply = event.thread_ts && event.thread_ts !== event.ts;
    if (!isReply && Number(event.ts) > openedAt) markUnread(event.channel);
    return undefined;
  }
  if (thread.isOpen) thread.refresh();
  return channel.refresh();
}

function showRoute() {
  openSidebar(false);
  sidebar.draw();
  channel.showRoute();
  thread.showRoute();
}

function escape(event) {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open], :popover-open")) return;
  if (shell.classList.contains("with-sidebar")) openSidebar(false);
  else if (inspector.isOpen && inspector.element.contains(document.activeElement)) inspector.toggle(false);
  else if (thread.isOpen) thread.close();
  else if (inspector.isOpen) inspector.toggle(false);
}

async function start() {
  while (!(await readWorld())) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  on("place", showRoute);
  on("person", () => {
    follow();
    showRoute();
  });
  on("world", () => {
    sidebar.draw();
    syncModals();
    channel.showRoute();
  });
  on("unread", () => sidebar.draw());
  on("live", (isLive) => sidebar.setLive(isLive));
  scrim.addEventListener("click", () => openSidebar(false));
  addEventListener("keydown", escape);
  watchAddress();
  syncModals();
  follow();
}

// After a reconnect everything is read again, because events may have been missed.
function follow() {
  listen(onEvent, () => {
    // From here on no event is missed.
    document.body.dataset.ready = "yes";
    reread();
    thread.refresh();
    inspector.refresh();
  });
}

start();

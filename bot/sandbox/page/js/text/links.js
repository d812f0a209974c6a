// Addresses written by people and agents.  Only these schemes become links; the rest stays text.

import { h } from "../dom.js";

const SAFE = new Set(["http:", "https:", "mailto:"]);

export function safeUrl(text) {
  try {
    const url = new URL(String(text).trim());
    return SAFE.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

// The page loads only the sandbox's own files.
export function ownUrl(text) {
  try {
    const url = new URL(String(text), location.href);
    return url.pathname.startsWith("/_emu/") || url.origin === location.origin ? url.pathname + url.search : null;
  } catch {
    return null;
  }
}

export function link(url, ...label) {
  const href = safeUrl(url);
  if (!href) return h("span", { class: "dead-link", title: "This address is not shown as a link" }, ...label);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...label);
}

// A bare address in running text, without the punctuation at the end of its sentence.
export const BARE_URL = /https?:\/\/[^\s<>"'`|]+[^\s<>"'`|.,;:!?)\]}*_~]/;

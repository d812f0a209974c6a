// The sandbox's control API.  An answer is always an object with `ok`; without a server it is {ok: false, error: "offline"}.

const TIMEOUT_MS = 20_000;
// This load of the page: the modals that it opens are shown by it alone.
const PAGE = { "X-Sandbox-Page": `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}` };

async function call(path, options) {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), ...options, headers: { ...PAGE, ...options?.headers } });
    return await response.json();
  } catch (error) {
    console.info("%s did not answer: %s", path, error.message);
    return { ok: false, error: "offline" };
  }
}

function query(params) {
  const known = Object.entries(params || {}).filter(([, value]) => value !== undefined && value !== null);
  return known.length ? `?${new URLSearchParams(known)}` : "";
}

export const read = (path, params) => call(`/_emu/${path}${query(params)}`);

export const send = (path, body) =>
  call(`/_emu/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

export async function readText(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.text();
}

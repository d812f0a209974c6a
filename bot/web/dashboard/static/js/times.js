// Times that go on: "3 min ago" for moments, "2 min 4 s" for what has lasted since then.
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function lasted(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const first = UNITS.findIndex(([, size]) => whole >= size);
  if (first < 0) return "0 s";
  const [unit, size] = UNITS[first];
  const next = UNITS[first + 1];
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${next[0]}` : ""}`;
}

function show(element, now) {
  const at = Date.parse(element.dateTime);
  if (Number.isNaN(at)) return;
  const seconds = (now - at) / 1000;
  let words;
  if ("since" in element.dataset) words = lasted(seconds);
  else if (seconds < -1) words = `in ${lasted(-seconds)}`;
  else if (seconds < 45) words = "just now";
  else words = `${lasted(seconds).split(" ").slice(0, 2).join(" ")} ago`;
  if (element.textContent !== words) element.textContent = words;
  if (!element.title) element.title = exact.format(at);
}

export function showTimes(root = document) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[datetime]")) show(element, now);
}

export function startTimes() {
  showTimes();
  setInterval(() => { if (!document.hidden) showTimes(); }, 1000);
  document.addEventListener("visibilitychange", () => showTimes());
}

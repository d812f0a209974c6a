// Times in readable form.  A Slack ts is seconds since 1970 with a fraction.

const locale = navigator.language;
const clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const clockWithSeconds = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const dayLong = new Intl.DateTimeFormat(locale, { weekday: "long", month: "long", day: "numeric" });
const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });

export const dateOf = (ts) => new Date(Number(ts) * 1000);
export const timeOf = (ts) => clock.format(dateOf(ts));
export const secondsOf = (date) => clockWithSeconds.format(date);
export const fullTimeOf = (ts) => full.format(dateOf(ts));
export const dayKey = (ts) => dateOf(ts).toDateString();

function relativeDay(date) {
  const start = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
  const days = Math.round((start(date) - start(new Date())) / 86_400_000);
  return { 0: "today", [-1]: "yesterday", 1: "tomorrow" }[days] ?? null;
}

export function dayOf(ts) {
  const date = dateOf(ts);
  const word = relativeDay(date);
  return word ? word[0].toUpperCase() + word.slice(1) : dayLong.format(date);
}

function ago(ts) {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - Number(ts)));
  if (seconds < 45) return "just now";
  if (seconds < 5400) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}

const part = (date, options) => new Intl.DateTimeFormat(locale, options).format(date);
const TOKENS = {
  date_num: (date) => [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((n) => String(n).padStart(2, "0")).join("-"),
  date: (date) => part(date, { year: "numeric", month: "long", day: "numeric" }),
  date_short: (date) => part(date, { year: "numeric", month: "short", day: "numeric" }),
  date_long: (date) => part(date, { weekday: "long", year: "numeric", month: "long", day: "numeric" }),
  date_pretty: (date) => relativeDay(date) ?? TOKENS.date(date),
  date_short_pretty: (date) => relativeDay(date) ?? TOKENS.date_short(date),
  date_long_pretty: (date) => relativeDay(date) ?? TOKENS.date_long(date),
  time: (date) => clock.format(date),
  time_secs: (date) => clockWithSeconds.format(date),
  ago: (date) => ago(date / 1000),
};

// The format of <!date^…>: text with {tokens}.
export function formatDate(ts, format) {
  const date = dateOf(ts);
  if (Number.isNaN(date.getTime())) return null;
  return format.replace(/\{(\w+)\}/g, (whole, token) => TOKENS[token]?.(date) ?? whole);
}

// Texts such as "3 min ago" become outdated: they are rewritten from time to time.
setInterval(() => {
  for (const element of document.querySelectorAll("time[data-format]")) {
    element.textContent = formatDate(element.dataset.ts, element.dataset.format);
  }
}, 20_000);

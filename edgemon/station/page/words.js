// All words come from strings/LANGUAGE.json; what a translation lacks is said in English, and noted on <html data-missing>.

let words = {};
let english = {};
let language = "en";
let locale = "en";
let zone; // the ward's time zone; undefined: the browser's
const missing = new Set();

async function read(name) {
  const answer = await fetch(new URL(`./strings/${name}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`strings/${name}.json: ${answer.status}`);
  return answer.json();
}

/** Loads a language, and English beneath it; times are told in a time zone, the browser's unless one is given. */
export async function load(wanted, timezone) {
  english = await read("en");
  language = /^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/.test(wanted ?? "") ? wanted : "en";
  words = language === "en" ? english : await read(language).catch(() => ({}));
  zone = isKnown(timezone) ? timezone : undefined;
  document.documentElement.lang = language;
  locale = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
}

function isKnown(timezone) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: timezone });
    return Boolean(timezone);
  } catch {
    return false; // an old browser may not know a new name: the page says so
  }
}

/** The name of the time zone in which times are told; undefined: the browser's own. */
export const timezone = () => zone;

/** The moment `s` (seconds) as a Date whose local fields are those of the ward: what uPlot asks for as `tzDate`. */
export function wardDate(s) {
  const date = new Date(1000 * s);
  if (zone === undefined) return date;
  const local = new Date(date.toLocaleString("en-US", { timeZone: zone }));
  local.setMilliseconds(date.getMilliseconds());
  return local;
}

function note(key) {
  if (missing.has(key) || Object.keys(english).length === 0) return; // nothing is missing before there is anything
  missing.add(key);
  document.documentElement.dataset.missing = [...missing].join(" ");
}

/** The words of a key, with {name} replaced. */
export function t(key, values = {}) {
  if (!Object.hasOwn(words, key)) note(key);
  const text = words[key] ?? english[key] ?? `[${key}]`;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The word for a value that a device sent: one that nobody has written down yet is shown as it came. */
export function word(group, value) {
  const key = `${group}.${value}`;
  return Object.hasOwn(english, key) ? t(key) : String(value);
}

/** A number as the language writes it. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

/** A share as percent. */
export const percent = (share) => (share === null || share === undefined ? "–" : `${number(100 * share)} %`);

const formats = new Map();
function format(name, options) {
  const key = `${locale} ${name}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale, { hourCycle: "h23", timeZone: zone, ...options }));
  return formats.get(key);
}
const HM = { hour: "2-digit", minute: "2-digit" };

/** 04:07:12, of the ward's own time. */
export const clock = (ms) => format("clock", { ...HM, second: "2-digit" }).format(ms);

/** 04:07. */
export const minute = (ms) => format("minute", HM).format(ms);

/** 21 Nov 04:07:12. */
export const dated = (ms) => format("dated", { day: "numeric", month: "short", ...HM, second: "2-digit" }).format(ms);

/** The time of day, with the date when it is more than 12 h away. */
export const when = (ms, now) => (Math.abs(now - ms) > 12 * 3600e3 ? dated(ms) : clock(ms));

/** A span in its two largest units. */
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return t("span.s", { s });
  if (s < 3600) return t("span.min", { min: Math.floor(s / 60) });
  if (s < 48 * 3600) return t("span.h", { h: Math.floor(s / 3600), min: Math.floor((s % 3600) / 60) });
  return t("span.d", { d: Math.floor(s / 86400) });
}

// One bed: its card, and its last 24 hours with zoom to minutes by mouse, fingers and keys.

import { acknowledge, choosePause } from "./acts.js";
import { get, inPath } from "./api.js";
import { BedCard } from "./card.js";
import { Charts } from "./charts.js";
import { el, put, show } from "./dom.js";
import * as live from "./live.js";
import { cards, may, start } from "./shell.js";
import * as tables from "./tables.js";
import { dated, t, when } from "./words.js";

const DAY_MS = 86_400_000;
const LEAST_MS = 2 * 60_000;
const REFRESH_MS = 60_000;
const FILES = ["heart_rate", "sleep", "events", "alarms", "movement", "summaries"];
const RANGES = { "24h": DAY_MS, "8h": DAY_MS / 3, "1h": DAY_MS / 24, "15min": DAY_MS / 96 };

const place = decodeURIComponent(location.pathname.slice("/bed/".length));
const id = (name) => document.getElementById(name);
let card = null;
let charts = null;
let history = null;
let view = null; // {from_ms, to_ms}
let following = true; // whether the view's end is now
let fetched_at = 0;
let waiting = null;

function draw() {
  if (charts.held.size) return; // drawn when the hand is off
  const now = live.now();
  charts.draw(history, view, tables.summaries(history, view, now));
  id("coverage").replaceChildren(...tables.coverage(history, view, now));
  id("log").replaceChildren(tables.log(history, now));
  drawNumbers();
}

function drawNumbers() {
  if (history !== null && id("numbers").open) id("table").replaceChildren(tables.numbers(history, view, Number(id("step").value)));
}

async function load() {
  waiting = null;
  fetched_at = performance.now();
  const [from_ms, to_ms] = [Math.floor(view.from_ms), Math.ceil(view.to_ms)];
  try {
    const told = await get(`/api/beds/${inPath(place)}/history?from_ms=${from_ms}&to_ms=${to_ms}`);
    if (from_ms !== Math.floor(view.from_ms) || to_ms !== Math.ceil(view.to_ms)) return; // moved on meanwhile
    history = told;
    show(id("failed"), false);
    draw();
  } catch (error) {
    put(id("failed"), t("bed.failed", { reason: error.message }));
    show(id("failed"), true);
  }
}

/** Shows a part of the last 24 hours, from what there is at once, and asks for the rest. */
function look(from_ms, to_ms) {
  const now = live.now();
  const length = Math.min(DAY_MS, Math.max(LEAST_MS, to_ms - from_ms));
  const end = Math.min(now, Math.max(to_ms, now - DAY_MS + length));
  following = end >= now - 2000;
  view = { from_ms: end - length, to_ms: end };
  const at = length > DAY_MS / 4 ? dated : (ms) => when(ms, now);
  put(id("range"), t("bed.range", { from: at(view.from_ms), to: at(view.to_ms) }));
  for (const button of id("zoom").querySelectorAll("[data-range]")) {
    button.setAttribute("aria-pressed", String(Math.abs(RANGES[button.dataset.range] - length) < 1000));
  }
  for (const link of id("files").querySelectorAll("a")) {
    const span = `from_ms=${Math.floor(view.from_ms)}&to_ms=${Math.ceil(view.to_ms)}`;
    link.href = `/api/beds/${inPath(place)}/export?what=${link.dataset.what}&${span}`;
  }
  id("step").value = length > 4 * 3600e3 ? "60" : length > 3600e3 ? "10" : "1";
  if (history !== null) charts.move(view);
  if (waiting === null) waiting = setTimeout(load, history === null ? 0 : 250);
}

const middle = () => (view.from_ms + view.to_ms) / 2;
const length = () => view.to_ms - view.from_ms;
const pan = (share) => look(view.from_ms + share * length(), view.to_ms + share * length());
const zoom = (factor, at = middle()) => look(at - (at - view.from_ms) * factor, at + (view.to_ms - at) * factor);
const last = (ms) => look(live.now() - ms, live.now());

const KEYS = {
  ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
  Home: () => last(DAY_MS), End: () => last(length()),
};

function controls() {
  const button = (name, click, range = null) => el("button", { type: "button", "data-range": range, on: { click } }, t(`zoom.${name}`));
  id("zoom").append(...Object.entries(RANGES).map(([name, ms]) => button(name, () => (ms < length() && !following
    ? look(middle() - ms / 2, middle() + ms / 2) : last(ms)), name)),
    button("earlier", () => pan(-0.5)), button("later", () => pan(0.5)));
  id("files").append(...FILES.map((what) => el("a", { download: true, "data-what": what }, t(`files.${what}`))));
  id("charts").addEventListener("keydown", (event) => {
    if (event.target !== id("charts") || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key] || view === null) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  id("charts").addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // a plain wheel scrolls the page
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8);
  }, { passive: false });
  id("charts").addEventListener("dblclick", () => last(DAY_MS));
  id("step").addEventListener("change", drawNumbers);
  id("numbers").addEventListener("toggle", drawNumbers);
  document.addEventListener("themechange", () => history && draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => history && draw());
}

function drawCard() {
  const told = cards.get(place);
  show(id("unknown"), !told);
  if (!told) return;
  if (card === null) {
    card = new BedCard({ acknowledge: (_, alarm, event) => acknowledge(card, alarm, event), pause: (_, event) => choosePause(card, event),
      mayAct: may("acknowledge") }, true);
    id("now").append(card.node);
  }
  card.show(told, live.now());
  put(id("label"), told.label);
  document.title = told.label;
}

await start({
  cards(places) {
    if (places.includes(place) || card === null) drawCard();
    if (view === null) {
      charts = new Charts(id("charts"), { view: look, free: () => history && draw() });
      controls();
      last(DAY_MS);
    }
  },
  tick(now) {
    card?.tick(now);
    if (view !== null && following && !live.isLost() && performance.now() - fetched_at > REFRESH_MS) last(length());
  },
});

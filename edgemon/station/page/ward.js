// The ward: a card per bed, worst first. Only cards of the page that is shown exist, and only what changed is drawn.

import { acknowledge, choosePause } from "./acts.js";
import * as alarms from "./alarms.js";
import { BedCard } from "./card.js";
import { el, mark, put, show } from "./dom.js";
import * as live from "./live.js";
import { cards, may, start } from "./shell.js";
import { number, t, word } from "./words.js";

const PAGE = { full: 48, close: 96, compact: 160 };
const DENSITIES = Object.keys(PAGE); // the roomiest first
const COMPACT_FROM = 40; // beds, on a phone
const HOLD_MS = 3_000; // nothing moves for this long after a hand was on the cards
const KEY_MS = 30_000; // nor after a key, while the focus is on them
const FIT_MS = 60_000; // a screen with room to spare changes its density no more often
const phone = matchMedia("(max-width: 40rem)");

const grid = document.getElementById("grid");
const at = Object.fromEntries(["find", "alarmed", "density", "hold", "resort", "count", "pages"].map((id) => [id, document.getElementById(id)]));
const views = new Map(); // place to the card that is shown
let order = []; // of all beds: only ever changed by `sort`
let page = 0;
let touched = -HOLD_MS;
let keyed = -KEY_MS;
let pressed = false;
let moving = false; // cards are being moved: a focus that comes back is no key
let fitted = { of: "", at: 0, density: "full" }; // what was chosen, for how many beds on which screen

const below = el("p", { class: "below", hidden: true });
grid.after(below);
at.density.querySelector('[value="compact"]').before(el("option", { value: "close", "data-t": "density.close" }));

const held = () => pressed || performance.now() - touched < HOLD_MS
  || (grid.contains(document.activeElement) && performance.now() - keyed < KEY_MS) || document.querySelector("dialog[open]") !== null;

const wanted = () => [...cards.values()]
  .sort((a, b) => a.rank - b.rank || a.label.localeCompare(b.label, undefined, { numeric: true }) || a.place.localeCompare(b.place))
  .map((card) => card.place);

const pageSize = () => PAGE[at.density.value] ?? PAGE.compact;
const fits = () => grid.getBoundingClientRect().bottom + scrollY <= innerHeight;

/** The roomiest density in which all of these beds fit the screen; on a phone one scrolls, and their number counts. */
function roomiest(n) {
  if (phone.matches) return n >= COMPACT_FROM ? "compact" : "full";
  return DENSITIES.find((name) => {
    mark(grid, "density", name);
    return n <= PAGE[name] && fits();
  }) ?? "compact";
}

/** Chooses again where beds came or went, the screen changed, cards have outgrown it, or there may be room again. */
function fit(n) {
  const of = `${n} ${innerWidth} ${innerHeight}`;
  const now = performance.now();
  const again = !held() && (now - fitted.at > FIT_MS || (fitted.density !== "compact" && !phone.matches && !fits()));
  if (of !== fitted.of || again) fitted = { of, at: now, density: roomiest(n) };
  mark(grid, "density", fitted.density);
}

function filtered() {
  const text = at.find.value.trim().toLowerCase();
  return order.filter((place) => {
    const card = cards.get(place);
    return card && (!text || `${card.label} ${card.device}`.toLowerCase().includes(text)) && (!at.alarmed.checked || card.alarms.length > 0);
  });
}

/** Puts the cards of this page in their order; cards that stay are moved only if they must be. */
function arrange() {
  const now = live.now();
  const auto = at.density.value === "auto";
  const size = pageSize();
  if (!auto) mark(grid, "density", at.density.value);
  const all = filtered();
  const pages = Math.max(1, Math.ceil(all.length / size));
  page = Math.min(page, pages - 1);
  const places = all.slice(page * size, (page + 1) * size);
  const kept = new Set(places);
  const focused = document.activeElement;
  moving = true;
  for (const [place, view] of views) if (!kept.has(place)) view.node.remove(), views.delete(place);
  let next = grid.firstElementChild;
  for (const place of places) {
    let view = views.get(place);
    if (!view) {
      view = new BedCard({ acknowledge: (_, alarm, event) => acknowledge(view, alarm, event), pause: (_, event) => choosePause(view, event),
        mayAct: may("acknowledge") });
      views.set(place, view);
      view.show(cards.get(place), now);
    }
    if (view.node === next) next = next.nextElementSibling;
    else grid.insertBefore(view.node, next);
  }
  if (grid.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
  moving = false;
  if (auto) fit(all.length);
  const from = places.length ? page * size + 1 : 0;
  const hidden = cards.size - all.length;
  put(at.count, t("ward.count", { from: number(from), to: number(page * size + places.length), n: number(all.length) })
    + (hidden ? ` ${t("ward.hidden", { n: number(hidden) })}` : ""));
  drawPages(all, pages, size);
  drawBelow();
}

/** How many beds one has to scroll for, those of later pages with them. */
function drawBelow() {
  const later = filtered().slice((page + 1) * pageSize()).map((place) => cards.get(place));
  const edge = below.hidden ? innerHeight : below.getBoundingClientRect().top;
  const under = [...views.values()].filter((view) => view.node.getBoundingClientRect().bottom > edge + 1).map((view) => view.card);
  const all = [...under, ...later];
  const worst = alarms.worst(all.flatMap((card) => card.alarms.filter(alarms.open).map(alarms.priority)));
  put(below, all.length ? t("ward.below", { n: number(all.length), m: number(all.filter((card) => card.alarms.length).length) }) : "");
  mark(below, "worst", worst);
  show(below, under.length > 0);
}

let drawing = false;
function drawBelowSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => ((drawing = false), drawBelow()));
}

function drawPages(all, pages, size) {
  show(at.pages, pages > 1);
  const items = Array.from({ length: pages > 1 ? pages : 0 }, (_, index) => {
    const sums = alarms.counts(all.slice(index * size, (index + 1) * size).map((place) => cards.get(place)));
    const told = alarms.PRIORITIES.filter((name) => sums[name]).map((name) => `${alarms.MARKS[name]} ${sums[name]} ${word("priority", name)}`);
    return { text: `${index + 1}`, told: told.join(", "), current: index === page, index };
  });
  const drawn = JSON.stringify(items);
  if (at.pages.dataset.drawn === drawn) return;
  at.pages.dataset.drawn = drawn;
  const focused = [...at.pages.querySelectorAll("button")].indexOf(document.activeElement);
  at.pages.replaceChildren(...items.map(({ text, told, current, index }) => el("button", {
    type: "button", "aria-current": current ? "page" : null, "aria-label": t("ward.page", { page: text, told }),
    on: { click: () => turn(index) } }, text, told ? el("small", {}, told) : null)));
  if (focused >= 0) at.pages.querySelectorAll("button")[focused]?.focus();
}

function turn(index) {
  page = index;
  arrange();
  document.getElementById("main").scrollIntoView();
}

/** Re-sorts when ranks changed, unless a hand or the focus is on the cards: then it says that an order waits. */
function sort(force = false) {
  const best = wanted();
  const same = best.length === order.length && best.every((place, index) => place === order[index]);
  const wait = !same && !force && held() && order.length > 0;
  show(at.hold, wait);
  if (wait) {
    const known = new Set(order);
    order = [...order.filter((place) => cards.has(place)), ...best.filter((place) => !known.has(place))];
  } else {
    order = best;
  }
  arrange();
}

for (const kind of ["pointerdown", "pointermove", "wheel", "touchmove"]) {
  grid.addEventListener(kind, () => (touched = performance.now()), { passive: true });
}
addEventListener("scroll", () => ((touched = performance.now()), drawBelowSoon()), { passive: true });
addEventListener("resize", () => (order.length ? arrange() : null));
addEventListener("keydown", () => (keyed = performance.now()));
grid.addEventListener("focusin", () => moving || (keyed = performance.now()));
grid.addEventListener("pointerdown", () => (pressed = true));
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => (pressed = false));
at.resort.addEventListener("click", () => sort(true));
at.find.addEventListener("input", () => ((page = 0), arrange()));
at.alarmed.addEventListener("change", () => ((page = 0), arrange()));
at.density.value = localStorage.getItem("density") ?? "auto";
if (!at.density.value) at.density.value = "auto";
at.density.addEventListener("change", () => {
  localStorage.setItem("density", at.density.value);
  page = 0;
  arrange();
});

await start({
  cards(places) {
    for (const place of places) if (cards.has(place)) views.get(place)?.show(cards.get(place), live.now());
    sort();
    show(document.getElementById("empty"), cards.size === 0);
  },
  tick(now) {
    if (!at.hold.hidden) sort();
    for (const view of views.values()) view.tick(now);
    drawBelow();
  },
});
document.title = t("ward.title", { n: number(cards.size) });

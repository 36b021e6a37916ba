// What every page has: station, clock and connection, the alarms of the whole ward, sound, announcements, appearance.

import * as alarms from "./alarms.js";
import { ask, inPath, loginPath, stay, trust } from "./api.js";
import { el, mark, put, show } from "./dom.js";
import * as live from "./live.js";
import * as sound from "./sound.js";
import { clock, dated, load, minute, t, timezone, word } from "./words.js";

const CHIPS = 3;
const RETRY_MS = 3_000;
const SAY_MS = 50;
const GRACE_MS = 5_000; // for the station to say itself that a bed is silent, and for data to come back after a pause
const SILENCE_MS = 45_000;
const WARN_MS = 30 * 60_000;

/** Every card by place, as the station told it or with the page's own alarm. */
export const cards = new Map();

/** Who is logged in. */
export let me = null;

/** Whether this login may do what needs a role. */
export function may(role) {
  const roles = ["view", "acknowledge", "administer"];
  return roles.indexOf(me.role) >= roles.indexOf(role);
}

/** A region whose new words a screen reader says; it is emptied before, or else equal words would not be said again. */
class Voice {
  constructor(role) {
    this.node = el("div", { class: "unseen", role });
    this.waiting = [];
  }

  say(text) {
    put(this.node, "");
    if (this.waiting.push(text) > 1) return;
    setTimeout(() => {
      put(this.node, this.waiting.join(". "));
      this.waiting = [];
    }, SAY_MS);
  }
}

const polite = new Voice("status");
const assertive = new Voice("alert");

/** Says something to a screen reader when it next pauses. */
export const announce = (text) => polite.say(text);

/** Lets announcements be heard from within a modal dialog, for the rest of the page is inert; null: from the page. */
export const speakFrom = (dialog) => (dialog ?? document.body).append(polite.node, assertive.node);

function appearance() {
  const choices = ["auto", "light", "dark"].map((name) => el("option", { value: name }, t(`theme.${name}`)));
  const select = el("select", { id: "theme", on: { change: () => apply(select.value) } }, ...choices);
  select.value = document.documentElement.dataset.theme ?? "auto";
  function apply(theme) {
    mark(document.documentElement, "theme", theme === "auto" ? null : theme);
    localStorage.setItem("theme", theme);
    document.dispatchEvent(new Event("themechange"));
  }
  return el("label", { class: "field" }, el("span", {}, t("theme.label")), select);
}

function soundButton() {
  const button = el("button", { class: "sound", type: "button", on: { click } });
  async function click() {
    await (sound.isOn() ? sound.turnOff() : sound.turnOn());
    sessionStorage.setItem("sound", sound.isOn() ? "on" : "off");
    update();
  }
  function update() {
    mark(button, "on", sound.isOn());
    put(button, t(sound.isOn() ? "sound.on" : "sound.off"));
  }
  if (sessionStorage.getItem("sound") === "on") sound.turnOn().then(update); // a browser may remember the click
  update();
  return { button, update };
}

function links() {
  const pages = [["/", "nav.ward"], ["/devices", "nav.devices"]];
  if (may("administer")) pages.push(["/admin", "nav.admin"]);
  return pages.map(([href, key]) =>
    el("li", {}, el("a", { href, "aria-current": location.pathname === href ? "page" : null }, t(key))));
}

async function logout() {
  location.assign((await ask("POST", "/logout", {})).next ?? "/login");
}

function header() {
  const time = el("time", { class: "clock" }, "––:––:––");
  const state = el("span", { class: "state" }, t("live.connecting"));
  const strip = el("ul", { class: "strip", "aria-label": t("strip.label") });
  const lost = el("p", { class: "lost-bar", hidden: true, role: "status" });
  const ending = el("p", { class: "refused", hidden: true, role: "status" });
  const heard = soundButton();
  document.getElementById("top").replaceChildren(
    el("div", { class: "head" }, el("a", { class: "station", href: "/" }, me.station),
      el("nav", { "aria-label": t("nav.label") }, el("ul", {}, ...links())), el("p", { class: "disclaimer" }, t("disclaimer"))),
    el("div", { class: "watch" }, lost, ending, strip, state, time, heard.button));
  const out = me.auth === "open" ? null : el("button", { type: "button", on: { click: logout } }, t("logout"));
  const who = el("span", {});
  const zone = (me.timezone ?? undefined) === timezone() ? null : el("strong", { class: "bad" }, t("timezone.unknown", { zone: me.timezone }));
  document.getElementById("foot").append(...[who, out, zone, el("span", { class: "grow" }), appearance()].filter(Boolean));
  return { time, state, strip, lost, ending, who, heard };
}

function chip(card, alarm) {
  const name = alarms.priority(alarm);
  const words = t("strip.chip", { label: card.label, condition: word("condition", alarm.condition) });
  return el("li", {}, el("a", { class: "chip", "data-priority": name, href: `/bed/${inPath(card.place)}` },
    el("span", { class: "mark", "aria-hidden": "true" }, alarms.MARKS[name]), el("span", { class: "unseen" }, `${word("priority", name)} `), el("span", { class: "words" }, words)));
}

function drawStrip(strip) {
  const all = [...cards.values()];
  const found = all.flatMap((card) => card.alarms.filter(alarms.open).map((alarm) => ({ card, alarm })));
  const waiting = [...new Map(found.map((one) => [alarms.identity(one.card, one.alarm), one])).values()];
  waiting.sort((a, b) => alarms.PRIORITIES.indexOf(alarms.priority(a.alarm)) - alarms.PRIORITIES.indexOf(alarms.priority(b.alarm))
    || (a.alarm.presence === "latched") - (b.alarm.presence === "latched") || b.alarm.onset_ms - a.alarm.onset_ms || a.card.place.localeCompare(b.card.place));
  const sums = alarms.counts(all);
  const flashing = (name) => waiting.some(({ alarm }) => alarms.priority(alarm) === name && alarms.look(alarm) === "flash");
  const text = alarms.PRIORITIES.map((name) => `${sums[name]} ${flashing(name)} ${waiting.filter((w) => alarms.priority(w.alarm) === name).slice(0, CHIPS)
    .map((w) => alarms.identity(w.card, w.alarm) + w.card.label).join()}`).join("|");
  if (strip.dataset.drawn === text) return;
  strip.dataset.drawn = text;
  const tally = alarms.PRIORITIES.map((name) => el("li", {}, el("a", { class: "tally", href: "/", "data-priority": name, "data-none": sums[name] === 0, "data-look": flashing(name) ? "flash" : null },
    el("span", { class: "mark", "aria-hidden": "true" }, alarms.MARKS[name]), `${sums[name]} `, el("span", {}, word("priority", name)))));
  const loud = waiting.filter(({ alarm }) => alarms.priority(alarm) !== "low");
  const more = [1, 2, CHIPS].filter((shown) => loud.length > shown).map((shown) => // each for screens that have room for so many
    el("li", { class: "more", "data-shown": shown }, el("a", { href: "/", "aria-label": t("strip.more", { n: loud.length - shown }) }, `+${loud.length - shown}`)));
  strip.replaceChildren(...tally, ...loud.slice(0, CHIPS).map(({ card, alarm }) => chip(card, alarm)), ...more);
  for (const animation of strip.getAnimations({ subtree: true })) animation.startTime = 0; // as the cards flash
}

const known = new Set(); // occurrences that were announced

function announceNew() {
  const standing = new Set();
  const fresh = { high: [], other: [] };
  for (const card of cards.values()) {
    for (const alarm of card.alarms.filter((one) => one.presence === "on")) {
      const id = `${alarms.identity(card, alarm)} ${alarm.priority}`;
      standing.add(id);
      if (!known.has(id)) fresh[alarms.priority(alarm) === "high" ? "high" : "other"].push([card, alarm]);
    }
  }
  known.clear();
  for (const id of standing) known.add(id);
  const say = (list) => list.slice(0, CHIPS).map(([card, alarm]) => t("announce.alarm", {
    priority: word("priority", alarms.priority(alarm)), label: card.label,
    condition: word("condition", alarm.condition), measured: alarms.measured(alarm) })).join(". ")
    + (list.length > CHIPS ? `. ${t("announce.more", { n: list.length - CHIPS })}` : "");
  if (fresh.high.length) assertive.say(say(fresh.high));
  if (fresh.other.length) announce(say(fresh.other));
}

const told = new Map(); // cards as the station told them
const silent = new Map(); // since when beds have been silent here while nobody says so

/** A card as it is shown: silence is an alarm here too, for who should say so may have failed. */
function judged(card) {
  const { place } = card;
  const now = live.now();
  const silence_ms = me.silence_ms ?? SILENCE_MS;
  if (alarms.isSaid(card) || !alarms.isSilent(card, now, silence_ms)) silent.delete(place);
  else if (!silent.has(place)) silent.set(place, now);
  const patience_ms = Number.isFinite(card.last_heard_ms) ? GRACE_MS : silence_ms; // a new bed may need a while
  const since_ms = silent.get(place);
  return since_ms !== undefined && now - since_ms >= patience_ms ? alarms.withNoData(card, since_ms) : card;
}

function adopt(answer) {
  me = answer;
  trust(me.csrf);
}

/** Asks who is here and loads the words, until both are there; meanwhile the page says that it shows nothing. */
async function arrive() {
  for (;;) {
    try {
      adopt(await live.ask());
      return await load(me.language, me.timezone);
    } catch (error) {
      console.warn(error);
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

function drawConnection(at, state) {
  const lost = state !== "live";
  const heard = live.heardAt();
  const since = heard === null ? "" : t("lost.since", { at: dated(heard) });
  const words = { live: "", lost: `${t("lost.bar")} ${since}`, ended: t("ended.bar") }[state];
  document.body.classList.toggle("lost", lost);
  if (at.lost.dataset.state !== state) at.lost.replaceChildren(words, state === "ended" ? el("a", { class: "primary", href: loginPath() }, t("ended.login")) : "");
  mark(at.lost, "state", state);
  show(at.lost, lost);
  put(at.state, t(lost ? "live.lost" : "live.on"));
  mark(at.state, "lost", lost);
}

function drawLogin(at, now) {
  put(at.who, t("who", { name: me.name, role: word("role", me.role) }));
  const soon = Number.isFinite(me.expires_ms) && now !== null && me.expires_ms - now <= WARN_MS && !live.isLost();
  if (soon) put(at.ending, t("ending.bar", { at: minute(me.expires_ms) }));
  show(at.ending, soon);
}

/** Sets up a page. on.cards(places): these cards changed; on.tick(now): once a second; on.lost(lost). */
export async function start(on = {}) {
  await arrive();
  stay(live.end);
  const at = header();
  speakFrom(null);
  drawLogin(at, live.now());
  let drawing = false;
  const changed = new Set();

  function draw() {
    drawing = false;
    drawStrip(at.strip);
    announceNew();
    on.cards?.([...changed]);
    changed.clear();
    hear();
  }

  function drawSoon() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => drawing && draw());
    setTimeout(() => drawing && draw(), 200); // a page that nobody sees is drawn no frames, and must still sound
  }

  function hear() {
    const asked = [...cards.values()].flatMap((card) => card.alarms.map(alarms.sound));
    sound.want(alarms.worst(live.isLost() ? [...asked, "medium"] : asked)); // a page that sees nothing calls for somebody
  }

  function set(card) {
    cards.set(card.place, card);
    changed.add(card.place);
  }

  live.follow({
    me: adopt,
    wanted: () => !document.hidden || sound.isOn(),
    cards(list, places) {
      if (places) {
        const there = new Set(places);
        for (const place of [...cards.keys()].filter((one) => !there.has(one))) {
          for (const known of [cards, told, silent]) known.delete(place);
          changed.add(place);
        }
      }
      for (const card of list) {
        told.set(card.place, card);
        set(judged(card));
      }
      drawSoon();
    },
    state(state) {
      drawConnection(at, state);
      hear();
      on.lost?.(state !== "live");
    },
    tick() {
      const now = live.now();
      if (!live.isLost()) {
        put(at.time, clock(now));
        for (const card of told.values()) {
          const one = judged(card);
          if (one.alarms.length !== cards.get(card.place).alarms.length) set(one);
        }
        if (changed.size) drawSoon();
      }
      drawLogin(at, now);
      sound.tick();
      at.heard.update();
      on.tick?.(now);
    },
  });
}

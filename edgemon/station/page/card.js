// The card of a bed: what is seen now, how old it is, which alarms stand, and what may be done about them.

import * as alarms from "./alarms.js";
import { inPath } from "./api.js";
import { el, mark, put, show } from "./dom.js";
import { announce, me } from "./shell.js";
import { number, percent, span, t, when, word } from "./words.js";

const STALE_MS = 45_000; // at most: a station may be told to call for somebody sooner
const AHEAD_MS = 10_000; // an observation of the future has no age that could be trusted
const UNSEEN_MS = 1_000; // nobody has read what appeared, moved or changed so shortly before the click
const HAND_MS = 30_000; // a mouse that lies still for longer has been left there
const TOLD_MS = 30_000;
const FACTS = ["eyes", "sleep", "cry", "face"];
const MORE = ["posture", "movement", "pain_cue"];

const staleMs = () => Math.min(STALE_MS, me?.silence_ms ?? STALE_MS);

/** Whether a reading is too old to stand for now. */
export const isStale = (reading, now) =>
  reading.stale === true || !Number.isFinite(reading.at_ms) || now - reading.at_ms > staleMs() + (reading.epoch_ms ?? 0) || reading.at_ms - now > AHEAD_MS;

const said = {
  face: (value) => t(value ? "face.seen" : "face.unseen"),
  eyes: (value) => word("eyes", value),
  sleep: (value) => word("sleep", value),
  cry: (value) => word("cry", value),
  posture: (value) => word("posture", value),
  movement: percent,
  pain_cue: percent,
};

const grade = (quality) => (quality >= 0.7 ? 3 : quality >= 0.4 ? 2 : 1);

const dateOf = (reading, now) => (Number.isFinite(reading.at_ms) ? when(reading.at_ms, now) : "–");
const old = (text, reading, now) => t("stale.was", { value: text, at: dateOf(reading, now), age: span(now - reading.at_ms) });

class Fact {
  constructor(name) {
    this.name = name;
    this.value = el("dd", {});
    this.node = el("div", { class: "fact", "data-fact": name }, el("dt", {}, t(`fact.${name}`)), this.value);
  }

  draw(reading, now) {
    show(this.node, Boolean(reading));
    if (!reading) return;
    const known = reading.value !== null && reading.value !== undefined;
    const stale = isStale(reading, now);
    const text = known ? said[this.name](reading.value) : word("reason", reading.reason ?? "unknown");
    put(this.value, stale ? t("stale.short", { value: text, at: dateOf(reading, now) }) : known ? text : t("unknown.because", { reason: text }));
    mark(this.node, "stale", stale);
    mark(this.node, "unknown", !known);
    mark(this.node, "bad", reading.value === false);
    mark(this.node, "value", known && !stale ? reading.value : null);
  }
}

class Heart {
  constructor() {
    this.bpm = el("span", { class: "bpm" });
    this.unit = el("span", { class: "unit" }, t("unit./min"));
    this.quality = el("span", { class: "quality" });
    this.bars = el("span", { class: "bars", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
    this.age = el("span", { class: "age" });
    this.node = el("div", { class: "heart" }, el("span", { class: "label" }, t("heart.label")),
      el("p", { class: "rate" }, this.bpm, this.unit), el("p", { class: "notes" }, this.bars, this.quality, this.age));
  }

  draw(reading, now) {
    show(this.node, reading !== undefined);
    const known = Boolean(reading) && reading.bpm !== null && reading.bpm !== undefined;
    const stale = Boolean(reading) && isStale(reading, now);
    mark(this.node, "stale", stale);
    mark(this.node, "unknown", !known);
    put(this.bpm, known && !stale ? number(reading.bpm) : "– –");
    show(this.unit, known && !stale);
    show(this.bars, known && !stale);
    if (!reading) return put(this.quality, t("heart.none")), put(this.age, "");
    mark(this.bars, "grade", grade(reading.quality));
    const rate = known ? `${number(reading.bpm)} ${t("unit./min")}` : word("reason", reading.reason ?? "unknown");
    if (stale) put(this.quality, old(rate, reading, now));
    else put(this.quality, known ? t(`quality.${grade(reading.quality)}`) : t("unknown.because", { reason: rate }));
    put(this.age, stale ? "" : t("age", { age: span(now - reading.at_ms) }));
  }
}

/** The camera's condition in words, and whether nothing current is to be expected of it; what it told of has aged since. */
function condition(of, now) {
  if (!of) return { text: t("camera.unknown"), bad: true };
  const since_ms = Math.max(0, now - of.at_ms);
  if (of.fps === null || of.fps === undefined) return { text: t("camera.none"), bad: true };
  if (of.frame_age_s > 2) return { text: t("camera.old", { age: span(1000 * of.frame_age_s + since_ms) }), bad: true };
  if (of.frozen_s > 5) return { text: t("camera.frozen", { age: span(1000 * of.frozen_s + since_ms) }), bad: true };
  return { text: t("camera.fps", { fps: number(of.fps) }), bad: false };
}

class Camera {
  constructor() {
    this.value = el("dd", {});
    this.node = el("div", { class: "fact", "data-fact": "camera" }, el("dt", {}, t("fact.camera")), this.value);
  }

  draw(of, now) {
    const { text, bad } = condition(of, now);
    const stale = Boolean(of) && isStale(of, now);
    put(this.value, stale && !bad ? t("stale.short", { value: text, at: dateOf(of, now) }) : text);
    mark(this.node, "stale", stale);
    mark(this.node, "unknown", !of);
    mark(this.node, "bad", bad);
  }
}

const rows = new Set(); // of alarms, on this page

/** Notes which rows were moved: by rows above them, by other cards, by a bar that appeared. */
function settle() {
  for (const row of rows) row.node.isConnected ? row.settle() : rows.delete(row);
}
new MutationObserver(settle).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
addEventListener("resize", settle);

const identity = ({ source, place, condition: name, alarm_id, revision, presence, priority }) =>
  JSON.stringify([source, place, name, alarm_id, revision, presence, priority]);

class AlarmRow {
  constructor(hooks) {
    this.mark = el("span", { class: "mark", "aria-hidden": "true" });
    this.what = el("strong");
    this.measured = el("span", { class: "measured" });
    this.note = el("small");
    this.hooks = hooks;
    this.button = el("button", { type: "button", class: "acknowledge", on: { click: (event) => this.click(event), pointerdown: () => this.press() } },
      t("acknowledge"));
    this.node = el("li", { class: "alarm" }, this.mark, el("div", { class: "what" }, this.what, " ", this.measured, this.note), this.button);
    this.at = null; // where it lies, on the screen and on the page
    rows.add(this);
  }

  /** Starts the time that it takes to read what is new here. */
  renew() {
    this.renewed = performance.now();
    this.button.setAttribute("aria-disabled", "true");
    clearTimeout(this.reading);
    this.reading = setTimeout(() => this.button.removeAttribute("aria-disabled"), UNSEEN_MS);
  }

  /** A row that moved on the screen is new where it is; one that was scrolled there by hand, or stays there, is not. */
  settle() {
    const { left, top } = this.button.getBoundingClientRect();
    const at = [left, top, left + scrollX, top + scrollY];
    const far = (a, b) => Math.abs(at[a] - this.at[a]) > 2 || Math.abs(at[b] - this.at[b]) > 2;
    if (this.at !== null && far(0, 1) && far(2, 3)) this.renew();
    this.at = at;
  }

  press() {
    this.pressed = { identity: identity(this.alarm), seen: this.isSeen() };
  }

  isSeen() {
    settle();
    return performance.now() - this.renewed >= UNSEEN_MS;
  }

  /** Acknowledges what was read when the finger went down, or the key; anything else is refused. */
  click(event) {
    const { pressed } = this;
    this.pressed = null;
    const seen = this.isSeen() && (event.detail === 0 || !pressed || (pressed.seen && pressed.identity === identity(this.alarm)));
    if (seen) this.hooks.acknowledge(event, this.alarm);
    else this.hooks.changed();
  }

  draw(alarm, label, now, mayAct) {
    if (this.alarm === undefined || identity(alarm) !== identity(this.alarm)) this.renew();
    this.alarm = alarm;
    const name = alarms.priority(alarm);
    mark(this.node, "priority", name);
    mark(this.node, "look", alarms.look(alarm));
    mark(this.node, "condition", alarm.condition);
    put(this.mark, alarms.look(alarm) !== "steady" ? alarms.MARKS[name] : alarm.presence === "ack" ? "✓" : "❚❚");
    put(this.what, word("condition", alarm.condition));
    put(this.measured, alarms.measured(alarm));
    const standing = alarms.standing(alarm, now);
    put(this.note, [t("alarm.since", { priority: word("priority", name), at: when(alarm.onset_ms, now) }), standing].filter(Boolean).join(" · "));
    show(this.button, mayAct && alarms.mayAcknowledge(alarm));
    this.button.setAttribute("aria-label", t("acknowledge.label", { label, condition: word("condition", alarm.condition) }));
    for (const animation of this.node.getAnimations()) animation.startTime = 0; // all flash together, and never faster
  }
}

/** One card; `hooks.acknowledge(card, alarm, event)`, `hooks.pause(card, event)`, `hooks.mayAct`, `all`: every fact. */
export class BedCard {
  constructor(hooks, all = false) {
    this.hooks = hooks;
    this.rows = new Map();
    this.link = el("a", {});
    this.device = el("span", { class: "device" });
    this.online = el("p", { class: "online" });
    this.list = el("ul", { class: "alarms", "aria-label": t("alarms.label") });
    this.heart = new Heart();
    this.facts = [...FACTS, ...(all ? MORE : [])].map((name) => new Fact(name));
    this.camera = new Camera();
    this.pause = el("button", { type: "button", class: "pause", on: { click: (event) => hooks.pause(this.card, event) } }, t("pause.open"));
    this.told = el("p", { class: "told", hidden: true });
    this.paused = el("p", { class: "paused" });
    this.node = el("article", { class: "card" },
      el("header", {}, el("h2", {}, this.link), this.device, this.pause), this.online, this.paused, this.list, this.heart.node,
      el("dl", { class: "facts" }, ...this.facts.map((fact) => fact.node), this.camera.node), this.told);
    this.hand = { on: false, at: -HAND_MS };
    for (const kind of ["pointerenter", "pointermove", "pointerdown"]) this.node.addEventListener(kind, () => this.touch(true), { passive: true });
    for (const kind of ["pointerleave", "pointercancel"]) this.node.addEventListener(kind, () => this.touch(false));
    for (const kind of ["keydown", "focusin"]) this.node.addEventListener(kind, () => this.touch(this.hand.on));
  }

  touch(on) {
    this.hand = { on, at: performance.now() };
  }

  /** Whether somebody may be about to press: then no row may come under the hand. */
  isHeld() {
    return performance.now() - this.hand.at < (this.hand.on || this.node.contains(document.activeElement) ? HAND_MS : UNSEEN_MS);
  }

  /** Draws what the station told. */
  show(card, now) {
    this.card = card;
    this.node.dataset.place = card.place;
    mark(this.node, "device", card.bed === "_device");
    put(this.link, card.label);
    mark(this.link, "long", card.label.length > 16);
    this.link.href = `/bed/${inPath(card.place)}`;
    put(this.device, card.label.split("/")[0] === card.device ? "" : card.device);
    this.pause.setAttribute("aria-label", t("pause.label", { label: card.label }));
    this.drawAlarms(now);
    this.tick(now);
  }

  drawAlarms(now) {
    const { card, hooks } = this;
    const key = (alarm) => `${alarm.source} ${alarm.place} ${alarm.condition}`;
    const best = alarms.ordered(card.alarms);
    const told = new Map(best.map((alarm) => [key(alarm), alarm]));
    for (const [name, row] of this.rows) if (!told.has(name)) row.node.remove(), this.rows.delete(name);
    const held = this.isHeld() ? [...this.rows.keys()].map((name) => told.get(name)) : [];
    const standing = [...held, ...best.filter((alarm) => !held.includes(alarm))];
    this.waits = standing.some((alarm, index) => alarm !== best[index]);
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    const before = this.rows;
    this.rows = new Map();
    standing.forEach((alarm, index) => {
      const acknowledge = (event, newest) => hooks.acknowledge(this.card, newest, event);
      const row = before.get(key(alarm)) ?? new AlarmRow({ acknowledge, changed: () => this.refuse(t("acknowledge.changed")) });
      this.rows.set(key(alarm), row);
      if (this.list.children[index] !== row.node) this.list.insertBefore(row.node, this.list.children[index] ?? null);
      row.draw(alarm, card.label, now, hooks.mayAct);
    });
    if (focused !== document.activeElement) focused?.focus({ preventScroll: true });
    show(this.list, standing.length > 0);
    mark(this.node, "worst", alarms.worst(card.alarms.filter(alarms.open).map(alarms.priority)));
    mark(this.node, "look", best.length ? alarms.look(best[0]) : null);
    show(this.pause, hooks.mayAct && card.bed !== "_device");
    for (const animation of this.node.getAnimations()) animation.startTime = 0;
  }

  /** Ages everything to the station's time. */
  tick(now) {
    const { card } = this;
    if (!card || now === null) return;
    if (this.waits && !this.isHeld()) this.drawAlarms(now);
    this.heart.draw(card.bed === "_device" ? undefined : card.heart_rate, now);
    for (const fact of this.facts) fact.draw(card.readings[fact.name], now);
    show(this.camera.node, card.bed !== "_device");
    this.camera.draw(card.camera, now);
    const silent = card.silent || !Number.isFinite(card.last_heard_ms) || now - card.last_heard_ms > staleMs()
      || card.last_heard_ms - now > AHEAD_MS;
    mark(this.node, "silent", silent);
    const heard = Number.isFinite(card.last_heard_ms)
      ? t("silent.since", { at: when(card.last_heard_ms, now), age: span(now - card.last_heard_ms) }) : t("silent.never");
    this.drawPause(now);
    const state = card.online === "online" ? "" : word("online", card.online);
    put(this.online, [state, silent ? heard : ""].filter(Boolean).join(". "));
    show(this.online, this.online.textContent !== "");
  }

  /** Who paused what until when: as the station tells it, or as it was asked for here. */
  drawPause(now) {
    const told = [this.card.pause, this.asked].find((pause) => pause && now < pause.until_ms);
    const words = this.card.pauses.map((pause) => word("paused", pause));
    const activation = told?.pause === "audio" ? "audio_paused" : "alarm_paused";
    const who = told && t("paused.by", { pause: word("paused", activation), by: told.by, at: when(told.at_ms, now), until: when(told.until_ms, now) });
    put(this.paused, who ?? words.join(", "));
    show(this.paused, Boolean(this.paused.textContent));
  }

  /** Says, on the card and to a screen reader, that nothing was asked. */
  refuse(text) {
    this.tell(text, true);
    announce(`${this.card.label}: ${text}`);
    clearTimeout(this.clearing);
    this.clearing = setTimeout(() => this.tell(null), TOLD_MS);
  }

  /** Tells, on the card, what became of an act; null clears it. */
  tell(text, refused = false) {
    put(this.told, text ?? "");
    mark(this.told, "refused", refused);
    show(this.told, Boolean(text));
  }
}

// The card of a bed: what is seen now, how old it is, which alarms stand, and what may be done about them.

import * as alarms from "./alarms.js";
import { inPath } from "./api.js";
import { el, mark, put, show } from "./dom.js";
import { me } from "./shell.js";
import { number, percent, span, t, when, word } from "./words.js";

const STALE_MS = 45_000; // at most: a station may be told to call for somebody sooner
const AHEAD_MS = 10_000; // an observation of the future has no age that could be trusted
const FACTS = ["eyes", "sleep", "cry", "face"];
const MORE = ["posture", "movement", "pain_cue"];

const staleMs = () => Math.min(STALE_MS, me?.silence_ms ?? STALE_MS);

/** Whether a reading is too old to stand for now. */
export const isStale = (reading, now) =>
  reading.stale === true || !Number.isFinite(reading.at_ms) || now - reading.at_ms > staleMs() || reading.at_ms - now > AHEAD_MS;

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

function camera(of) {
  if (!of) return t("camera.unknown");
  if (of.fps === null || of.fps === undefined) return t("camera.none");
  if (of.frame_age_s > 2) return t("camera.old", { age: span(1000 * of.frame_age_s) });
  if (of.frozen_s > 5) return t("camera.frozen", { age: span(1000 * of.frozen_s) });
  return t("camera.fps", { fps: number(of.fps) });
}

class AlarmRow {
  constructor(hooks) {
    this.mark = el("span", { class: "mark", "aria-hidden": "true" });
    this.what = el("strong");
    this.measured = el("span", { class: "measured" });
    this.note = el("small");
    this.button = el("button", { type: "button", class: "acknowledge", on: { click: (event) => hooks.acknowledge(event, this.alarm) } },
      t("acknowledge"));
    this.node = el("li", { class: "alarm" }, this.mark, el("div", { class: "what" }, this.what, " ", this.measured, this.note), this.button);
  }

  draw(alarm, label, now, mayAct) {
    this.alarm = alarm;
    const name = alarms.priority(alarm);
    mark(this.node, "priority", name);
    mark(this.node, "look", alarms.look(alarm));
    mark(this.node, "condition", alarm.condition);
    put(this.mark, alarms.look(alarm) === "steady" ? "✓" : alarms.MARKS[name]);
    put(this.what, word("condition", alarm.condition));
    put(this.measured, alarms.measured(alarm));
    const standing = alarms.standing(alarm, now);
    put(this.note, [t("alarm.since", { priority: word("priority", name), at: when(alarm.onset_ms, now) }), standing].filter(Boolean).join(" · "));
    show(this.button, mayAct && alarm.presence !== "ack");
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
    this.camera = el("dd", {});
    this.cameraRow = el("div", { class: "fact", "data-fact": "camera" }, el("dt", {}, t("fact.camera")), this.camera);
    this.pause = el("button", { type: "button", class: "pause", on: { click: (event) => hooks.pause(this.card, event) } }, t("pause.open"));
    this.told = el("p", { class: "told", hidden: true });
    this.paused = el("p", { class: "paused" });
    this.node = el("article", { class: "card" },
      el("header", {}, el("h2", {}, this.link), this.device, this.pause), this.online, this.paused, this.list, this.heart.node,
      el("dl", { class: "facts" }, ...this.facts.map((fact) => fact.node), this.cameraRow), this.told);
  }

  /** Draws what the station told. */
  show(card, now) {
    this.card = card;
    this.node.dataset.place = card.place;
    mark(this.node, "device", card.bed === "_device");
    put(this.link, card.label);
    this.link.href = `/bed/${inPath(card.place)}`;
    put(this.device, card.device === card.label ? "" : card.device);
    this.pause.setAttribute("aria-label", t("pause.label", { label: card.label }));
    this.drawAlarms(now);
    this.tick(now);
  }

  drawAlarms(now) {
    const { card, hooks } = this;
    const standing = alarms.ordered(card.alarms);
    const key = (alarm) => `${alarm.source} ${alarm.place} ${alarm.condition}`;
    const keys = new Set(standing.map(key));
    for (const [name, row] of this.rows) if (!keys.has(name)) row.node.remove(), this.rows.delete(name);
    standing.forEach((alarm, index) => {
      if (!this.rows.has(key(alarm))) {
        const acknowledge = (event, newest) => hooks.acknowledge(this.card, newest, event);
        this.rows.set(key(alarm), new AlarmRow({ acknowledge }));
      }
      const row = this.rows.get(key(alarm));
      if (this.list.children[index] !== row.node) this.list.insertBefore(row.node, this.list.children[index] ?? null);
      row.draw(alarm, card.label, now, hooks.mayAct);
    });
    show(this.list, standing.length > 0);
    mark(this.node, "worst", alarms.worst(card.alarms.filter(alarms.open).map(alarms.priority)));
    mark(this.node, "look", standing.length ? alarms.look(standing[0]) : null);
    show(this.pause, hooks.mayAct && card.bed !== "_device");
    for (const animation of this.node.getAnimations()) animation.startTime = 0;
  }

  /** Ages everything to the station's time. */
  tick(now) {
    const { card } = this;
    if (!card || now === null) return;
    this.heart.draw(card.bed === "_device" ? undefined : card.heart_rate, now);
    for (const fact of this.facts) fact.draw(card.readings[fact.name], now);
    show(this.cameraRow, card.bed !== "_device");
    put(this.camera, camera(card.camera));
    const silent = card.silent || !Number.isFinite(card.last_heard_ms) || now - card.last_heard_ms > staleMs()
      || card.last_heard_ms - now > AHEAD_MS;
    mark(this.node, "silent", silent);
    mark(this.cameraRow, "stale", silent);
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

  /** Tells, on the card, what became of an act; null clears it. */
  tell(text, refused = false) {
    put(this.told, text ?? "");
    mark(this.told, "refused", refused);
    show(this.told, Boolean(text));
  }
}

// What an alarm looks and sounds like (IEC 60601-1-8), as pure functions of the station's JSON.

import { number, t, when, word } from "./words.js";

export const PRIORITIES = ["high", "medium", "low"];
const NO_DATA_RANK = 1; // that of a medium alarm at the station
export const MARKS = { high: "!!!", medium: "!!", low: "!" };

/** The priority as one of the three words; what is none of them counts as high rather than as nothing. */
export const priority = (alarm) => (PRIORITIES.includes(alarm.priority) ? alarm.priority : "high");

/** Whether somebody still has to look: neither acknowledged nor in a procedure's pause. */
export const open = (alarm) => alarm.presence !== "ack" && alarm.activation !== "alarm_paused";

/** Look: "flash" while on, "steady" once acknowledged or paused, "latched" when the condition is over. */
export function look(alarm) {
  if (alarm.presence === "latched") return "latched";
  return open(alarm) ? "flash" : "steady";
}

/** The sound's priority, or null. A latched alarm is over and waits: it sounds low. */
export function sound(alarm) {
  if (alarm.presence === "ack" || alarm.activation !== "on") return null;
  return alarm.presence === "latched" ? "low" : priority(alarm);
}

const AHEAD_MS = 10_000; // as of readings: what was heard in the future was heard nobody knows when

/** Whether a bed is silent by the page's own clock. */
export const isSilent = (card, now, silence_ms) => card.silent === true || !Number.isFinite(card.last_heard_ms)
  || now - card.last_heard_ms > silence_ms || card.last_heard_ms - now > AHEAD_MS;

/** Whether the station or the device says that a bed is silent. */
export const isSaid = (card) => card.alarms.some((alarm) => ["no_data", "device_offline"].includes(alarm.condition));

/** A card with the page's own alarm: its bed is silent and nobody says so. */
export const withNoData = (card, onset_ms) => ({ ...card, rank: Math.min(card.rank, NO_DATA_RANK), alarms: [...card.alarms, {
  source: "page", place: card.place, condition: "no_data", priority: "medium", kind: "technical", presence: "on", activation: "on",
  alarm_id: null, revision: null, onset_ms, value: null, limit: null, unit: null, ack_by: null, ack_ms: null }] });

/** Whether somebody may acknowledge it: not what the page itself alarms about, which ends with its cause alone. */
export const mayAcknowledge = (alarm) => alarm.presence !== "ack" && alarm.source !== "page";

const place = (list) => (list.length ? Math.min(...list.map((name) => PRIORITIES.indexOf(name))) : null);

/** The worst priority of a list of names; null of none. */
export function worst(names) {
  const index = place(names.filter((name) => name !== null));
  return index === null ? null : PRIORITIES[index];
}

/** Alarms of a bed: those to look at first, then by priority, then the newest. */
export function ordered(alarms) {
  const key = (alarm) => [open(alarm) ? 0 : 1, PRIORITIES.indexOf(priority(alarm)), -alarm.onset_ms];
  return [...alarms].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return x[0] - y[0] || x[1] - y[1] || x[2] - y[2];
  });
}

/** Identity of an occurrence: that of a whole device stands on the cards of all its beds, and is one. */
export const identity = (card, alarm) => `${alarm.place ?? card.place} ${alarm.condition} ${alarm.alarm_id ?? ""} ${alarm.onset_ms}`;

/** "88 /min (limit 100)"; empty where the alarm has no number. */
export function measured(alarm) {
  if (alarm.value === null || alarm.value === undefined || alarm.limit === null || alarm.limit === undefined) return "";
  const unit = alarm.unit === "1" || !alarm.unit ? "" : word("unit", alarm.unit);
  return t("alarm.measured", { value: number(alarm.value), unit, limit: number(alarm.limit) });
}

/** What happened with it, in words: "acknowledged by anna at 04:12:31". */
export function standing(alarm, now) {
  if (alarm.presence === "ack") {
    if (!alarm.ack_by) return t("alarm.acknowledged");
    return t("alarm.acknowledged_by", { by: alarm.ack_by, at: alarm.ack_ms ? when(alarm.ack_ms, now) : "–" });
  }
  if (alarm.presence === "latched") return t("alarm.latched");
  if (alarm.activation === "audio_paused") return t("alarm.audio_paused");
  return alarm.activation === "alarm_paused" ? t("alarm.alarm_paused") : "";
}

/** How many alarms of each priority still need somebody. */
export function counts(cards) {
  const found = { high: new Set(), medium: new Set(), low: new Set() };
  for (const card of cards) for (const alarm of card.alarms) if (open(alarm)) found[priority(alarm)].add(identity(card, alarm));
  return Object.fromEntries(PRIORITIES.map((name) => [name, found[name].size]));
}

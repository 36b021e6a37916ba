// The history as text: the numbers of the charts in rows, the alarm log, and how much was seen.

import * as alarms from "./alarms.js";
import { el } from "./dom.js";
import { median, of, rows, within } from "./series.js";
import { dated, minute, number, percent, span, t, when, word } from "./words.js";

/** A table with a heading row; cells are text or nodes, "n:" before a heading makes a column of numbers. */
export function table(label, headings, body) {
  const numeric = headings.map((heading) => heading.startsWith("n:"));
  const head = headings.map((heading, i) => el("th", { scope: "col", class: numeric[i] ? "n" : null }, heading.replace(/^n:/, "")));
  const lines = body.map((cells) => el("tr", {}, ...cells.map((cell, i) => el("td", { class: numeric[i] ? "n" : null }, cell))));
  return el("table", {}, el("caption", { class: "unseen" }, label), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...lines));
}

const none = () => t("table.none");
const value = (of_it) => (of_it === null || of_it === undefined ? none() : number(of_it));

/** What the charts show, a row per step. */
export function numbers(history, view, step_min) {
  const headings = ["from", "n:min", "n:median", "n:max", "n:valid", "n:asleep", "n:awake", "n:eyes", "n:crying", "n:movement", "n:seen"]
    .map((name) => (name.startsWith("n:") ? `n:${t(`table.${name.slice(2)}`)}` : t(`table.${name}`)));
  const body = rows(history, view.from_ms, view.to_ms, step_min).map((row) => {
    const asleep = row.sleep_min > 0;
    const eyes = row.eyes_known_min > 0;
    return [minute(row.from_ms), value(row.min), value(row.median), value(row.max), percent(row.valid),
      asleep ? number(row.asleep_min) : none(), asleep ? number(row.awake_min) : none(), eyes ? number(row.eyes_min) : none(),
      asleep || eyes || row.crying_min > 0 ? number(row.crying_min) : none(),
      row.movement === null ? none() : percent(row.movement), row.seen === null ? none() : percent(row.seen)];
  });
  return table(t("table.title"), headings, body);
}

function happened(line) {
  if (line.presence === "ack" && line.phase === "update") return t("phase.acknowledged");
  if (line.presence === "latched" && line.phase === "update") return t("phase.latched");
  return word("phase", line.phase);
}

function priority(line) {
  const name = alarms.priority(line);
  return el("span", { "data-priority": name }, el("span", { class: "mark", "aria-hidden": "true" }, alarms.MARKS[name]), word("priority", name));
}

/** The alarm log, newest first; lines that only repeat are left out. */
export function log(history, now) {
  const lines = history.alarms.filter((line) => line.phase !== "continue").sort((a, b) => b.at_ms - a.at_ms);
  if (!lines.length) return el("p", {}, t("log.none"));
  const headings = ["at", "priority", "condition", "phase", "value", "ack"].map((name) => t(`log.${name}`));
  return table(t("log.title"), headings, lines.map((line) => [
    dated(line.at_ms) + (line.replay ? ` (${t("log.late")})` : ""), priority(line), word("condition", line.condition), happened(line),
    alarms.measured(line), line.ack_by ? `${line.ack_by}, ${line.ack_ms ? when(line.ack_ms, now) : "–"}` : ""]));
}

function shares(history, view) {
  const sum = (spans) => within(spans, view.from_ms, view.to_ms);
  const [asleep, awake] = [sum(of(history.sleep, "asleep")), sum(of(history.sleep, "awake"))];
  const unknown = Math.max(0, view.to_ms - view.from_ms - asleep - awake);
  return { asleep: span(asleep), awake: span(awake), crying: span(sum(history.crying)), unknown: span(unknown) };
}

/** How much of the time was seen. */
export function coverage(history, view, now) {
  const { from_ms, sleep, heart_rate: heart } = history.coverage;
  if (from_ms === null) return [el("p", {}, t("coverage.none"))];
  return [t("coverage.asleep", shares(history, view)), `${t("coverage.since", { at: when(from_ms, now) })}: ${t("coverage.sleep", { share: percent(sleep) })} ${t("coverage.heart", { share: percent(heart) })}`]
    .map((text) => el("p", {}, text));
}

/** What each chart shows, in words. */
export function summaries(history, view, now) {
  const span_of = { from: when(view.from_ms, now), to: when(view.to_ms, now) };
  const inView = (_, i) => history.heart_rate.at_ms[i] >= view.from_ms && history.heart_rate.at_ms[i] < view.to_ms;
  const known = (list) => list.filter(inView).filter((bpm) => bpm !== null);
  const { heart_rate: heart, movement } = history;
  const index = movement.index.filter((share) => share !== null);
  const nothing = (chart) => t("chart.summary.none", { chart: t(`chart.${chart}`), ...span_of });
  return {
    heart: known(heart.median).length ? t("chart.summary.heart", { ...span_of, min: number(Math.min(...known(heart.min))),
      median: number(median(known(heart.median))), max: number(Math.max(...known(heart.max))) }) : nothing("heart"),
    states: t("chart.summary.states", { ...span_of, ...shares(history, view) }),
    movement: index.length ? t("chart.summary.movement", { ...span_of, mean: percent(index.reduce((a, b) => a + b, 0) / index.length) }) : nothing("movement"),
  };
}

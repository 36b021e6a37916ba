// Three charts on one time axis, drawn by uPlot: heart rate, states and alarms, movement. Gaps stay gaps.

import { el, put } from "./dom.js";
import { gapped, lone, merged, of, standing, steps } from "./series.js";
import { clock, minute, number, percent, t, wardDate } from "./words.js";

const MINUTE_GAP_MS = 100_000;
const RAW_GAP_MS = 5_000;
const RAW_MOST_MS = 30 * 60_000;
const AXIS_PX = 92;
const LEAST_PX = 3; // a run of values that is narrower is drawn as points
const LANES = ["awake", "eyes", "crying", "high", "medium", "low"]; // from above
const HIGH = 0.7; // height of a lane's block; lanes lie 1 apart

/** A colour of the style sheet as the canvas needs it. */
function ink(name) {
  const probe = el("i", { class: `ink ink-${name}` });
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const faint = (color) => color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.25)");

/** Points for values that stand alone, which no line shows. */
function alone(color, size) {
  const filter = (plot, i) => lone(plot.data[0].map((s) => plot.valToPos(s, "x")), plot.data[i], LEAST_PX);
  return { show: false, filter, size, width: 0, fill: color, stroke: color };
}

const times = (_, splits, __, ___, step_s) => splits.map((s) => (step_s < 60 ? clock(1000 * s) : minute(1000 * s)));

function options(width, height, view, scales, axis, series, extra, select) {
  const [text, grid] = [ink("text"), ink("grid")];
  const look = { stroke: text, font: "13px system-ui, sans-serif", grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  return {
    width, height, tzDate: wardDate, series: [{ label: t("chart.time"), value: (_, s) => (s === null || s === undefined ? "–" : clock(1000 * s)) }, ...series],
    scales: { x: { time: true, auto: false, range: () => [view.from_ms / 1000, view.to_ms / 1000] }, ...scales },
    axes: [{ ...look, values: times, space: 80, size: 36 }, { ...look, size: AXIS_PX, ...axis }],
    cursor: { sync: { key: "bed" }, y: false, drag: { x: true, y: false, setScale: false } },
    hooks: { setSelect: [(plot) => select(plot)] },
    ...extra,
  };
}

/** Whether rates by the second are told of the whole of a short view: they are kept for hours only. */
function bySecond({ raw, heart_rate: minutes }, view) {
  if (!raw || raw.at_ms.length === 0 || view.to_ms - view.from_ms > RAW_MOST_MS) return false;
  return minutes.at_ms.length === 0 || raw.at_ms[0] - minutes.at_ms[0] < MINUTE_GAP_MS;
}

function heart(history, view) {
  const raw = bySecond(history, view);
  const from = raw ? history.raw : history.heart_rate;
  const columns = raw ? [from.bpm, from.bpm, from.bpm] : [from.min, from.median, from.max];
  const data = gapped(from.at_ms, columns, raw ? RAW_GAP_MS : MINUTE_GAP_MS);
  const line = ink("line");
  const value = (_, bpm) => (bpm === null || bpm === undefined ? "–" : number(bpm));
  const middle = { stroke: line, width: 2, spanGaps: false, points: alone(line, 4), value };
  const side = { stroke: faint(line), width: 1, spanGaps: false, points: alone(line, 2), value };
  const series = raw
    ? [{ label: t("chart.bpm"), ...middle }]
    : [{ label: t("chart.min"), ...side }, { label: t("chart.median"), ...middle }, { label: t("chart.max"), ...side }];
  const known = columns.flat().filter((bpm) => bpm !== null && bpm !== undefined);
  const range = [Math.min(80, ...known.slice(0, 1), known.reduce((a, b) => Math.min(a, b), 80) - 5), Math.max(200, known.reduce((a, b) => Math.max(a, b), 200) + 5)];
  return {
    data: [data.at_ms.map((ms) => ms / 1000), ...(raw ? data.columns.slice(0, 1) : data.columns)], series,
    scales: { y: { range: () => range } }, axis: { values: (_, splits) => splits.map((bpm) => number(bpm)) },
    title: raw ? "chart.seconds" : "chart.heart",
    extra: raw ? {} : { bands: [{ series: [3, 1], fill: faint(line) }] },
  };
}

function states(history, view) {
  const level = (spans, lane, height) => spans.map((span) => ({ ...span, level: LANES.length - 1 - LANES.indexOf(lane) + height }));
  const seen = merged([...history.eyes, ...history.sleep].filter((span) => span.value !== null));
  const lanes = {
    awake: [...level(of(history.sleep, "asleep"), "awake", 0), ...level(of(history.sleep, "awake"), "awake", HIGH)],
    eyes: [...level(of(history.eyes, "closed"), "eyes", 0), ...level(of(history.eyes, "open"), "eyes", HIGH)],
    crying: over(level(seen, "crying", 0), level(merged(history.crying), "crying", HIGH)),
  };
  for (const name of ["high", "medium", "low"]) {
    const least_ms = (view.to_ms - view.from_ms) / 250; // a short alarm is still to be seen
    const spans = standing(history.alarms, name, view.from_ms, view.to_ms);
    lanes[name] = level(merged(spans.map((span) => ({ ...span, to_ms: Math.max(span.to_ms, span.from_ms + least_ms) }))), name, HIGH);
  }
  const data = steps(LANES.map((name) => lanes[name]));
  const series = LANES.map((name, i) => {
    const color = ink(name);
    return { label: t(`lane.${name}`), stroke: color, width: 2, spanGaps: false, points: { show: false }, fill: i < 3 ? faint(color) : color, fillTo: LANES.length - 1 - i };
  });
  const names = [...LANES].reverse().map((name) => t(`lane.${name}`));
  return {
    data: [data.at_ms.map((ms) => ms / 1000), ...data.columns], series, scales: { y: { range: () => [-0.3, LANES.length] } },
    axis: { splits: () => names.map((_, i) => i + HIGH / 2), values: () => names, grid: { show: false }, ticks: { show: false } },
    extra: { legend: { show: false } },
  };
}

/** Spans, with those of `above` in place of what they cover. */
function over(spans, above) {
  const cut = spans.flatMap((span) => {
    const parts = [];
    let from_ms = span.from_ms;
    for (const other of above) {
      if (other.to_ms <= from_ms || other.from_ms >= span.to_ms) continue;
      if (other.from_ms > from_ms) parts.push({ ...span, from_ms, to_ms: other.from_ms });
      from_ms = other.to_ms;
    }
    return from_ms < span.to_ms ? [...parts, { ...span, from_ms }] : parts;
  });
  return [...cut, ...above];
}

function movement(history) {
  const { at_ms, index, coverage } = history.movement;
  const data = gapped(at_ms, [index, coverage], MINUTE_GAP_MS);
  const value = (_, share) => percent(share);
  const [line, text] = [ink("line"), ink("text")];
  return {
    data: [data.at_ms.map((ms) => ms / 1000), ...data.columns],
    series: [{ label: t("chart.index"), stroke: line, width: 2, fill: faint(line), spanGaps: false, value, points: alone(line, 4) },
      { label: t("chart.coverage"), stroke: text, width: 1, dash: [4, 4], spanGaps: false, value, points: alone(text, 2) }],
    scales: { y: { range: () => [0, 1] } }, axis: { values: (_, splits) => splits.map(percent) }, extra: {},
  };
}

const KINDS = { heart: { make: heart, height: 220 }, states: { make: states, height: 190 }, movement: { make: movement, height: 130 } };

/** The charts in a box. on.view(from_ms, to_ms): a part was chosen with the mouse or fingers; on.free(): no hand is on them. */
export class Charts {
  constructor(box, on) {
    this.on = on;
    this.held = new Set(); // pointers that are down: what they hold must not be drawn anew
    box.addEventListener("pointerdown", (event) => this.held.add(event.pointerId));
    for (const kind of ["pointerup", "pointercancel"]) {
      addEventListener(kind, (event) => this.held.delete(event.pointerId) && this.held.size === 0 && setTimeout(() => on.free()));
    }
    this.plots = {};
    this.boxes = {};
    for (const kind of Object.keys(KINDS)) {
      const title = el("h3", {}, t(`chart.${kind}`));
      this.boxes[kind] = { plot: el("div", { role: "img" }), title };
      box.append(el("div", { class: "chart" }, title, this.boxes[kind].plot));
    }
    let width = 0;
    new ResizeObserver(() => {
      if (box.clientWidth === width) return;
      width = box.clientWidth;
      for (const [kind, plot] of Object.entries(this.plots)) plot.setSize({ width, height: KINDS[kind].height });
    }).observe(box);
    this.box = box;
  }

  /** Draws a history anew; `summaries` are the words of each chart for who cannot see it. */
  draw(history, view, summaries) {
    this.view = view;
    for (const [kind, { make, height }] of Object.entries(KINDS)) {
      const { data, series, scales, axis, extra, title } = make(history, view);
      this.plots[kind]?.destroy();
      const chosen = options(this.box.clientWidth, height, view, scales, axis, series, extra, (plot) => this.select(plot));
      this.plots[kind] = new uPlot(chosen, data, this.boxes[kind].plot);
      this.fingers(this.plots[kind].over);
      this.boxes[kind].plot.setAttribute("aria-label", summaries[kind]);
      put(this.boxes[kind].title, t(title ?? `chart.${kind}`));
    }
  }

  /** Moves the time axis at once; what is known of it follows when it has been fetched. */
  move(view) {
    Object.assign(this.view ?? (this.view = {}), view);
    for (const plot of Object.values(this.plots)) plot.setScale("x", { min: view.from_ms / 1000, max: view.to_ms / 1000 });
  }

  select(plot) {
    if (plot.select.width < 8) return;
    const at = (px) => 1000 * plot.posToVal(px, "x");
    this.on.view(at(plot.select.left), at(plot.select.left + plot.select.width));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  /** One finger moves the time, two fingers stretch it. */
  fingers(over) {
    const down = new Map();
    let begun = null;
    const begin = () => (begun = down.size ? { ...this.view, xs: [...down.values()] } : null);
    over.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse") return;
      down.set(event.pointerId, event.offsetX);
      begin();
    });
    over.addEventListener("pointermove", (event) => {
      if (!down.has(event.pointerId)) return;
      down.set(event.pointerId, event.offsetX);
      const { from_ms, to_ms, xs } = begun;
      const [width, now] = [over.clientWidth, [...down.values()]];
      const at = (x) => from_ms + (x / width) * (to_ms - from_ms);
      if (now.length === 1) {
        const by = at(xs[0]) - at(now[0]);
        this.on.view(from_ms + by, to_ms + by);
      } else if (Math.abs(now[0] - now[1]) > 20) {
        const scale = (at(xs[1]) - at(xs[0])) / (now[1] - now[0]); // ms per px under the fingers
        this.on.view(at(xs[0]) - scale * now[0], at(xs[0]) + scale * (width - now[0]));
      }
    });
    for (const kind of ["pointerup", "pointercancel", "pointerleave"]) {
      over.addEventListener(kind, (event) => down.delete(event.pointerId) && begin());
    }
  }
}

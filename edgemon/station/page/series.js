// From the station's history to what charts and tables show, as pure functions. What is not known stays null: a gap.

/** Points so far apart that nothing may join them get a null in the middle between: in the pixel of a value it would hide it. */
export function gapped(at_ms, columns, most_ms) {
  const out = { at_ms: [], columns: columns.map(() => []) };
  at_ms.forEach((ms, i) => {
    const before = at_ms[i - 1];
    if (i > 0 && ms - before > most_ms) {
      out.at_ms.push((before + ms) / 2);
      out.columns.forEach((column) => column.push(null));
    }
    out.at_ms.push(ms);
    out.columns.forEach((column, k) => column.push(columns[k][i] ?? null));
  });
  return out;
}

/** Indices of values that no line would show: those of runs between nulls that are narrower than `least_px`. */
export function lone(at_px, column, least_px) {
  const found = [];
  for (let i = 0; i < column.length; i += 1) {
    if (column[i] === null) continue;
    const first = i;
    while (i + 1 < column.length && column[i + 1] !== null) i += 1;
    if (at_px[i] - at_px[first] < least_px) for (let k = first; k <= i; k += 1) found.push(k);
  }
  return found;
}

/**
 * Times of lanes as steps on one common axis: `lanes` is a list of lists of {from_ms, to_ms, level}.
 * A gap has one null, in its middle: a null in the same pixel as a value would hide it. Elsewhere a lane says nothing.
 */
export function steps(lanes) {
  const points = lanes.map(corners);
  const at_ms = [...new Set(points.flatMap((lane) => [...lane.keys()]))].sort((a, b) => a - b);
  return { at_ms, columns: points.map((lane) => at_ms.map((ms) => lane.get(ms))) };
}

function corners(spans) {
  const points = new Map();
  let before = null;
  for (const span of [...spans].sort((a, b) => a.from_ms - b.from_ms)) {
    if (before !== null && span.from_ms > before.to_ms) points.set((before.to_ms + span.from_ms) / 2, null);
    points.set(span.from_ms, span.level).set(span.to_ms - 1, span.level);
    before = span;
  }
  return points;
}

/** When alarms of a priority stood: from their start to their end in the log, or to `to_ms` if they still stand. */
export function standing(log, priority, from_ms, to_ms) {
  const open = new Map();
  const spans = [];
  for (const line of [...log].sort((a, b) => a.at_ms - b.at_ms)) {
    const key = `${line.source} ${line.condition}`;
    const before = open.get(key);
    if (before && (line.phase === "end" || line.presence === "off" || line.priority !== before.priority || line.onset_ms !== before.onset_ms)) {
      spans.push({ ...before, to_ms: line.at_ms });
      open.delete(key);
    }
    if (line.phase !== "end" && line.presence !== "off" && !open.has(key)) {
      const escalated = before !== undefined && before.onset_ms === line.onset_ms;
      open.set(key, { from_ms: escalated ? line.at_ms : Math.min(line.onset_ms, line.at_ms), onset_ms: line.onset_ms, priority: line.priority });
    }
  }
  for (const span of open.values()) spans.push({ ...span, to_ms });
  return merged(spans.filter((span) => span.priority === priority)
    .map((span) => ({ from_ms: Math.max(from_ms, span.from_ms), to_ms: Math.min(to_ms, span.to_ms) })));
}

/** Spans in order, those that touch or overlap as one. */
export function merged(spans) {
  const out = [];
  for (const span of [...spans].filter((one) => one.to_ms > one.from_ms).sort((a, b) => a.from_ms - b.from_ms)) {
    const last = out.at(-1);
    if (last && span.from_ms <= last.to_ms) last.to_ms = Math.max(last.to_ms, span.to_ms);
    else out.push({ ...span });
  }
  return out;
}

/** Milliseconds that spans share with a time. */
export const within = (spans, from_ms, to_ms) =>
  spans.reduce((sum, span) => sum + Math.max(0, Math.min(span.to_ms, to_ms) - Math.max(span.from_ms, from_ms)), 0);

/** Spans of one value. */
export const of = (spans, value) => spans.filter((span) => span.value === value);

const known = (values) => values.filter((value) => value !== null && value !== undefined);
const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);

/** The middle of a list; null of none. */
export function median(values) {
  const sorted = known(values).sort((a, b) => a - b);
  if (!sorted.length) return null;
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const least = (values) => (known(values).length ? Math.min(...known(values)) : null);
const most = (values) => (known(values).length ? Math.max(...known(values)) : null);

/** One row per `step_min` minutes of the local day between two moments. */
export function rows(history, from_ms, to_ms, step_min) {
  const step_ms = step_min * 60_000;
  const { heart_rate: heart, movement } = history;
  const out = [];
  for (let start = Math.floor(from_ms / step_ms) * step_ms; start < to_ms; start += step_ms) {
    const [a, b] = [Math.max(start, from_ms), Math.min(start + step_ms, to_ms)];
    const inside = (at_ms) => at_ms.flatMap((ms, i) => (ms >= a && ms < b ? [i] : []));
    const [hr, mv] = [inside(heart.at_ms), inside(movement.at_ms)];
    const pick = (column, at) => at.map((i) => column[i] ?? null);
    const expected = Math.max(1, Math.round((b - a) / 60_000));
    out.push({
      from_ms: start,
      min: least(pick(heart.min, hr)), median: median(pick(heart.median, hr)), max: most(pick(heart.max, hr)),
      valid: hr.length ? Math.min(1, known(pick(heart.valid, hr)).reduce((x, y) => x + y, 0) / expected) : 0,
      asleep_min: within(of(history.sleep, "asleep"), a, b) / 60_000, awake_min: within(of(history.sleep, "awake"), a, b) / 60_000,
      sleep_min: within(history.sleep.filter((span) => span.value !== null), a, b) / 60_000,
      eyes_min: within(of(history.eyes, "open"), a, b) / 60_000, eyes_known_min: within(history.eyes.filter((span) => span.value !== null), a, b) / 60_000,
      crying_min: within(history.crying, a, b) / 60_000,
      movement: mean(known(pick(movement.index, mv))), seen: mean(known(pick(movement.coverage, mv))),
    });
  }
  return out;
}

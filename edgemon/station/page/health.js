// Devices: who is there, what was lost on the way, whose clock is wrong, and what was refused. The worst come first.

import { ask, get, inPath } from "./api.js";
import { el, put, show } from "./dom.js";
import * as live from "./live.js";
import { may, start } from "./shell.js";
import { sure } from "./sure.js";
import { table } from "./tables.js";
import { number, span, t, when, word } from "./words.js";

const REFRESH_MS = 10_000;
const CLOCK_OFF_MS = 5_000;
const SHOWN = 200;

const id = (name) => document.getElementById(name);
let fetched_at = -REFRESH_MS;
let drawn = "";

const refusals = (device) => device.refused.reduce((sum, refusal) => sum + refusal.count, 0);
const isOff = (device) => Math.abs(device.clock_offset_ms ?? 0) > CLOCK_OFF_MS;
const trouble = (device) => 4 * (device.online !== "online") + 2 * (device.missing > 0 || (device.outbox?.dropped ?? 0) > 0) + (refusals(device) > 0 || isOff(device));

const known = (value, digits = 0) => (value === null || value === undefined ? "–" : number(value, digits));
const flagged = (text, bad) => (bad ? el("strong", { class: "bad" }, `! ${text}`) : text);

function lost(device) {
  const all = device.received + device.missing;
  const share = all > 0 ? (100 * device.missing) / all : 0;
  return flagged(t("devices.lost", { missing: number(device.missing), share: number(share, 2) }), device.missing > 0);
}

/** What an administrator may do about a device that is gone for good. */
function retirement({ base, online }) {
  return online === "online" || base === "-" ? "" : sure(t("devices.retire"), base, async () => {
    try {
      await ask("DELETE", `/api/devices/${inPath(base)}`);
      await load();
    } catch (error) {
      put(id("failed"), t("refused.device", { reason: error.message }));
      show(id("failed"), true);
    }
  });
}

function row(device, now) {
  const heard = device.last_heard_ms === null ? "–" : t("devices.heard", { at: when(device.last_heard_ms, now), age: span(now - device.last_heard_ms) });
  const { outbox } = device;
  return [device.base, flagged(word("online", device.online), device.online !== "online"), heard, lost(device), number(device.received), number(device.repeats),
    flagged(device.clock_offset_ms === null ? "–" : t("devices.clock_s", { s: number(device.clock_offset_ms / 1000, 2) }), isOff(device)),
    outbox ? flagged(t("devices.outbox", { waiting: number(outbox.waiting), dropped: number(outbox.dropped) }), outbox.dropped > 0) : "–",
    known(device.temperature_c), device.beds.join(", "), device.software ?? "–", ...(may("administer") ? [retirement(device)] : [])];
}

function draw(devices) {
  const text = JSON.stringify(devices.map((device) => ({ ...device, last_heard_ms: null })));
  const now = live.now();
  if (text === drawn && id("devices").contains(document.activeElement)) return; // not under somebody's hands for nothing
  drawn = text;
  const worst = [...devices].sort((a, b) => trouble(b) - trouble(a) || a.base.localeCompare(b.base, undefined, { numeric: true }));
  put(id("count"), t("devices.count", { n: number(devices.length), off: number(devices.filter((device) => device.online !== "online").length),
    shown: number(Math.min(SHOWN, devices.length)) }));
  const headings = ["device", "online", "heard_title", "n:missing", "n:received", "n:repeats", "n:clock", "outbox_title", "n:temperature", "beds", "software"]
    .concat(may("administer") ? ["do"] : []).map((name) => (name.startsWith("n:") ? `n:${t(`devices.${name.slice(2)}`)}` : t(`devices.${name}`)));
  id("devices").replaceChildren(table(t("devices.heading"), headings, worst.slice(0, SHOWN).map((device) => row(device, now))));
  const refused = devices.flatMap((device) => device.refused.map((refusal) => [device.base, word("refusal", refusal.reason), number(refusal.count),
    when(refusal.last_ms, now), refusal.text, refusal.last_ms]));
  refused.sort((a, b) => b[5] - a[5]);
  const columns = [t("devices.device"), t("devices.reason"), `n:${t("devices.times")}`, t("devices.newest"), t("devices.text")];
  id("refused").replaceChildren(refused.length ? table(t("devices.refused"), columns, refused.slice(0, SHOWN).map((cells) => cells.slice(0, 5)))
    : el("p", {}, t("devices.none_refused")));
}

async function load() {
  fetched_at = performance.now();
  try {
    draw(await get("/api/devices"));
    show(id("failed"), false);
  } catch (error) {
    put(id("failed"), t("devices.failed", { reason: error.message }));
    show(id("failed"), true);
  }
}

await start({ tick: (now) => now !== null && performance.now() - fetched_at >= REFRESH_MS && load() });
document.title = t("devices.heading");

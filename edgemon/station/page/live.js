// The station's event stream and the station's time. Nothing of now heard for 10 s: the connection is lost, and nothing is current.

import { get, Refused } from "./api.js";

const LOST_MS = 10_000;
const LATE_MS = 5_000; // what was told longer ago came over a link that lags: it does not say how things are
const RETRY_MS = 3_000;
const ASK_MS = 60_000;
const PATIENCE_MS = [10_000, 10_000, 20_000, 40_000]; // with each stream in vain; a slow link needs long for a whole ward

// Two clocks: a sleeping laptop stops the first, and somebody may set the second back. The larger is the careful one.
const stamp = () => ({ steady: performance.now(), wall: Date.now() });
const since = (then) => Math.max(performance.now() - then.steady, Date.now() - then.wall);

let on = null;
let source = null;
let time = null; // a moment of the station's time, and when that was here
let heard = stamp(); // when an event of now came last; null while the page rests
let vouched = false; // whether there was any
let asked = null; // when the station was asked for its time
let asking = false;
let tried = null; // when the stream was opened last; null: it is to be opened at once
let tries = 0;
let ended = false;
let told = null; // the state that the page was told last

/** The station's time in ms; null before its first word. */
export const now = () => (time === null ? null : time.now_ms + since(time.at));

/** Whether nothing here is current: the login has ended, the page rests, or nothing of now came for too long. */
export const isLost = () => ended || heard === null || since(heard) > LOST_MS;

/** When by the station's time an event of now came last; null if that is not known. */
export const heardAt = () => (vouched && heard !== null ? now() - since(heard) : null);

/**
 * Asks who is here, and with it the station's time: what /api/me tells.
 *
 * An answer is never older than its question, so it bounds the time from both sides. Events lag by who knows how much: they alone
 * may set the time on, never back. Where the station's own clock is set back, all events come late, the connection counts as
 * lost, and the question before the stream is opened again brings the new time.
 */
export async function ask() {
  const from = (asked = stamp());
  const me = await get("/api/me");
  if (Number.isFinite(me.now_ms)) time = { now_ms: Math.min(Math.max(now() ?? me.now_ms, me.now_ms), me.now_ms + since(from)), at: stamp() };
  return me;
}

function event({ now_ms }) {
  if (Number.isFinite(now_ms)) {
    if (time === null || now_ms > now()) time = { now_ms, at: stamp() };
    if (now_ms >= now() - LATE_MS) {
      heard = stamp();
      vouched = true;
      tries = 0;
    }
  }
  check();
}

function check() {
  const state = ended ? "ended" : isLost() ? "lost" : "live";
  if (state !== told && (vouched || state !== "live")) on.state((told = state)); // before the first event it is only connecting
}

function open() {
  tried = stamp();
  source = new EventSource("/api/live");
  source.addEventListener("cards", (message) => {
    const data = JSON.parse(message.data);
    event(data);
    on.cards(data.cards, data.places);
  });
  source.addEventListener("beat", (message) => event(JSON.parse(message.data)));
}

function close() {
  source?.close();
  source = null;
}

async function compare() {
  asking = true;
  try {
    on.me(await ask());
    return true;
  } catch (error) {
    if (error instanceof Refused) return false; // the stream says whether anything can be heard
    throw error;
  } finally {
    asking = false;
  }
}

async function reopen() {
  close();
  tried = stamp();
  tries += 1;
  if ((await compare()) && !ended) open();
}

/** A browser has six connections for all tabs of a station: one that nobody sees or hears gives its own back. */
function rest() {
  close();
  heard = tried = null;
  tries = 0;
  check();
}

function tend() {
  if (ended || asking) return;
  if (!on.wanted()) return rest();
  const waited = tried === null ? Infinity : since(tried);
  const gone = source === null || source.readyState === EventSource.CLOSED;
  if (gone ? waited >= RETRY_MS : isLost() && waited > PATIENCE_MS[Math.min(tries, PATIENCE_MS.length - 1)]) reopen();
  else if (since(asked) > ASK_MS) compare(); // a stream that lags evenly looks alive
}

/** The login has ended: nothing comes any more. */
export function end() {
  ended = true;
  close();
  check();
}

/**
 * Follows the stream for as long as the page lives; the station must have been asked before.
 * on.cards(cards, places): changed cards, and where beds came or went the places of all; on.state("live" | "lost" | "ended"): when it changes;
 * on.me(me): what /api/me tells by and by; on.wanted(): whether anybody sees or hears the page; on.tick(): once a second.
 */
export function follow(hooks) {
  on = hooks;
  heard = stamp();
  if (on.wanted()) open();
  document.addEventListener("visibilitychange", tend);
  setInterval(() => {
    check();
    tend();
    on.tick();
  }, 1000);
}

// The station's event stream and the station's time. Nothing heard for 10 s: the connection is lost, and nothing is current.

import { get } from "./api.js";

const LOST_MS = 10_000;
const RETRY_MS = 3_000;

// Two clocks: a sleeping laptop stops the first, and somebody may set the second back. The larger is the careful one.
const stamp = () => ({ steady: performance.now(), wall: Date.now() });
const since = (then) => Math.max(performance.now() - then.steady, Date.now() - then.wall);

let beat = null; // the newest now_ms and when it came
let heard = stamp();
let told = null; // whether the page was last told that the connection is lost

/** The station's time in ms; null before its first beat. */
export const now = () => (beat === null ? null : beat.now_ms + since(beat.at));

/** Whether the stream has been silent for so long that nothing here is current. */
export const isLost = () => since(heard) > LOST_MS;

/**
 * Follows the stream for as long as the page lives.
 * on.cards(cards, places): changed cards, and where beds came or went the places of all; on.lost(lost): told when it changes; on.tick(): once a second.
 */
export function follow(on) {
  let source;
  let opened;

  function event(data) {
    heard = stamp();
    if (Number.isFinite(data.now_ms)) beat = { now_ms: data.now_ms, at: stamp() };
    check();
  }

  function check() {
    const lost = isLost();
    if (lost !== told && (lost || beat !== null)) on.lost((told = lost)); // before the first beat it is only connecting
  }

  function open() {
    source?.close();
    opened = stamp();
    source = new EventSource("/api/live");
    source.addEventListener("cards", (message) => {
      const data = JSON.parse(message.data);
      event(data);
      on.cards(data.cards, data.places);
    });
    source.addEventListener("beat", (message) => event(JSON.parse(message.data)));
  }

  function revive() {
    if (since(opened) < RETRY_MS) return;
    if (source.readyState === EventSource.CLOSED) get("/api/me").then(open, () => (opened = stamp()));
    else if (isLost() && since(opened) > LOST_MS) open(); // a connection that only looks alive
  }

  open();
  setInterval(() => {
    check();
    revive();
    on.tick();
  }, 1000);
}

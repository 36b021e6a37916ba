// Acknowledge and pause: asked of the station, which asks the device; what became of it is told in words on the card.

import * as alarms from "./alarms.js";
import { ask, get, inPath } from "./api.js";
import { el, put } from "./dom.js";
import * as live from "./live.js";
import { announce, me, speakFrom } from "./shell.js";
import { t, word } from "./words.js";

const POLL_MS = 400;
const PATIENCE_MS = 35_000; // a command expires after 30 s
const TOLD_MS = 30_000;

const WHY = [ // what the station and the device say, and the words of the ward for it
  [/look again|has changed/, "stale"], [/no alarm|not stand|cannot be acknowledged|has acknowledged/, "gone"],
  [/a pause lasts/, "long"], [/no physiological/, "none"], [/expired/, "late"], [/not online/, "offline"],
];

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function outcome(told) {
  if (!told?.cmd_id) return { status: "done" };
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    const command = await get(`/api/commands/${encodeURIComponent(told.cmd_id)}`);
    if (command.status !== "pending") return command;
    await pause(POLL_MS);
  }
  return { status: "expired" };
}

/** A refusal in the ward's words, and the device's own beneath. */
export function refusal(reason) {
  const told = String(reason ?? "");
  const why = WHY.find(([pattern]) => pattern.test(told));
  return why ? `${t(`refused.${why[1]}`)} (${told})` : t("refused.device", { reason: told || "–" });
}

async function perform(view, path, body, words, done = () => {}) {
  if (live.isLost()) return tell(view, t("act.lost"), true);
  tell(view, t("act.asking"));
  try {
    const command = await outcome(await ask("POST", `/api/beds/${inPath(view.card.place)}/${path}`, body));
    if (command.status === "done") done(), tell(view, words);
    else tell(view, command.status === "expired" ? t("refused.expired") : refusal(command.reason), true);
  } catch (error) {
    tell(view, refusal(error.message), true);
  }
}

function tell(view, text, refused = false) {
  view.tell(text, refused);
  announce(`${view.card.label}: ${text}`);
  clearTimeout(view.clearing);
  view.clearing = setTimeout(() => view.tell(null), TOLD_MS);
}

/** After a click nothing stays focused; after a key the focus goes to the card, for the button may vanish. */
function release(view, event) {
  if (event.detail > 0) event.currentTarget.blur();
  else view.link.focus();
}

/** Acknowledges one alarm of a card, at the revision that is shown. */
export function acknowledge(view, alarm, event) {
  release(view, event);
  if (!alarms.mayAcknowledge(alarm)) return tell(view, t("act.own"), true);
  const body = alarm.source === "station" ? { condition: alarm.condition } : { alarm_id: alarm.alarm_id, revision: alarm.revision };
  return perform(view, "acknowledge", body, t("act.acknowledged", { condition: word("condition", alarm.condition) }));
}

const ACTIVATION = { audio: "audio_paused", procedure: "alarm_paused" };
const CHOICES = [["audio", 60], ["audio", 120], ["procedure", 120], ["procedure", 300]];

/** A pause as it was asked for here; it is over at the first newer card that does not tell it. */
class Asked {
  constructor(view, pause, seconds) {
    this.view = view;
    this.pause = pause;
    this.by = me.name;
    this.at_ms = live.now();
    this.ends_ms = this.at_ms + 1000 * seconds;
    this.change = view.card.change;
  }

  get until_ms() {
    const { change, pause, pauses } = this.view.card;
    const stands = pause?.pause === this.pause || pauses.includes(ACTIVATION[this.pause]);
    if (change !== this.change && !stands) this.ends_ms = 0;
    return this.ends_ms;
  }
}

/** Asks which pause, then asks the device for it. */
export function choosePause(view, event) {
  const pointer = event.detail > 0;
  const title = el("h2", { id: "pause-title" });
  put(title, t("pause.title", { label: view.card.label }));
  const choices = CHOICES.map(([kind, seconds]) => el("button", { type: "button", on: { click: () => chosen(kind, seconds) } },
    t(`pause.${kind}`, { min: seconds / 60 })));
  const cancel = el("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, t("cancel"));
  const dialog = el("dialog", { "aria-labelledby": "pause-title" }, title,
    el("p", {}, t("pause.audio_what")), ...choices.slice(0, 2), el("p", {}, t("pause.procedure_what")), ...choices.slice(2), cancel);
  dialog.addEventListener("close", () => {
    speakFrom(null);
    dialog.remove();
    if (pointer) document.activeElement?.blur();
  });
  function chosen(kind, seconds) {
    dialog.close();
    perform(view, "pause", { pause: kind, duration_s: seconds }, t(`act.${kind}`, { min: seconds / 60 }), () => {
      view.asked = new Asked(view, kind, seconds);
      view.tick(live.now());
    });
  }
  document.body.append(dialog);
  speakFrom(dialog);
  dialog.showModal();
}

// Alarm sounds by WebAudio: bursts with the pulses, lengths and pauses of IEC 60601-1-8. A browser plays them after one click.

const HARMONICS = [0, 1, 0.7, 0.5, 0.35, 0.2]; // at least four, so that the ear can tell where it comes from
const RISE_S = 0.02;

/** Starts of the pulses of one burst, their length and pitch, and when the burst comes again, in seconds. */
export const BURSTS = {
  high: { starts_s: [0, 0.25, 0.5, 1, 1.25, 2.1, 2.35, 2.6, 3.1, 3.35], pulse_s: 0.15, hz: 660, every_s: 8 },
  medium: { starts_s: [0, 0.4, 0.8], pulse_s: 0.2, hz: 523, every_s: 12 },
  low: { starts_s: [0, 0.4], pulse_s: 0.2, hz: 392, every_s: 30 },
};

let context = null;
let wave = null;
let wanted = null;
let burst = null; // what plays or played last: its priority, gain and start

/** Whether a sound given now would be heard from this browser. */
export const isOn = () => context !== null && context.state === "running";

/** Turns sound on: to be called from a click, or else the browser keeps it silent. */
export async function turnOn() {
  if (context === null) {
    context = new AudioContext();
    wave = context.createPeriodicWave(new Float32Array(HARMONICS.length), new Float32Array(HARMONICS));
  }
  await context.resume();
  burst = null;
  if (wanted === null) play("low"); // proof that it is heard
  tick();
}

/** Turns sound off. */
export async function turnOff() {
  quiet();
  await context?.suspend();
}

/** Says which priority must sound, null for none; a higher one does not wait for the burst of a lower. */
export function want(priority) {
  if (priority === wanted) return;
  wanted = priority;
  if (isOn()) quiet();
  burst = null;
  tick();
}

/** Repeats the burst when it is due; called once a second. */
export function tick() {
  if (!isOn() || wanted === null) return;
  if (burst === null || context.currentTime - burst.at_s >= BURSTS[wanted].every_s) play(wanted);
}

function quiet() {
  burst?.gain.gain.setTargetAtTime(0, context.currentTime, 0.01);
  burst = null;
}

function play(priority) {
  const { starts_s, pulse_s, hz } = BURSTS[priority];
  const at_s = context.currentTime + 0.05;
  const gain = new GainNode(context, { gain: 1 });
  gain.connect(context.destination);
  for (const start_s of starts_s) {
    const from_s = at_s + start_s;
    const pulse = new GainNode(context, { gain: 0 });
    pulse.gain.setValueAtTime(0, from_s);
    pulse.gain.linearRampToValueAtTime(0.35, from_s + RISE_S);
    pulse.gain.setValueAtTime(0.35, from_s + pulse_s - RISE_S);
    pulse.gain.linearRampToValueAtTime(0, from_s + pulse_s);
    const tone = new OscillatorNode(context, { frequency: hz, periodicWave: wave });
    tone.connect(pulse).connect(gain);
    tone.start(from_s);
    tone.stop(from_s + pulse_s);
  }
  burst = { priority, gain, at_s };
}

"""What our observer and the peers answer for every window of a recording, each from what came before its end."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.pipeline import TRACE_S
from edgemon.records import HeartRate, SkinSample
from export.heart_rate.peers import PEERS, Estimate, window_rgb
from export.heart_rate.scores import Windows
from export.heart_rate.traces import Array, Recording

OURS_ALL, OURS_TRUSTED, OURS_BEST = "ours, every window", "ours, trusted", "ours, best 60 %"
SPANS_S = (10.0, 20.0)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One recording's windows by method and span; ours are the same at both spans, only the truth differs."""

    recording: str
    group: str
    data: str
    layout: str
    windows: Mapping[tuple[str, float], Windows]
    reasons: Counter[str]  # of our observer's silence, by window


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """Our observer's answers at times (N,): the newest estimate, held where it has none, and what it tells."""

    estimate: Array
    estimate_quality: Array
    told: Array
    told_quality: Array
    reasons: Counter[str]


def answer(
    recording: Recording,
    peers: Mapping[str, Estimate] = PEERS,
    observer: Callable[[str], HeartRateObserver] = HeartRateObserver,
) -> Answers:
    """All answers for one recording; `observer` makes a fresh one for a bed."""
    read = _read(recording, observer("cot-1"))
    out: dict[tuple[str, float], Windows] = {}
    for span_s in SPANS_S:
        ends_s = recording.ends_s(span_s)
        truth = np.array([recording.mean_bpm(float(t), span_s) for t in ends_s])
        last = len(ends_s)
        pulse = np.full(last, recording.bpm is not None)
        own = slice(len(read.told) - last, None)
        out[OURS_ALL, span_s] = Windows(read.estimate[own], truth, read.estimate_quality[own], pulse)
        out[OURS_TRUSTED, span_s] = Windows(read.told[own], truth, read.told_quality[own], pulse)
        for name, estimate in peers.items():
            out[name, span_s] = Windows(_asked(recording, estimate, span_s), truth, np.zeros(last), pulse)
    return Answers(recording.name, recording.group, recording.data, recording.layout, out, read.reasons)


def _asked(recording: Recording, estimate: Estimate, span_s: float) -> Array:
    """A peer's rate for every window."""
    bpm = []
    for now_s in recording.ends_s(span_s):
        found = window_rgb(recording, float(now_s), span_s)
        bpm.append(estimate(*found) if found is not None else np.nan)
    return np.array(bpm)


def _read(recording: Recording, observer: HeartRateObserver) -> _Read:
    """Our observer as the daemon runs it: once a second from the start, with as much of the trace as it keeps.

    Windows are counted from 10 s on, as the peers' are; where there is no estimate the newest one stands at quality 0.
    """
    samples = deque(recording.samples())
    trace: deque[SkinSample] = deque()
    ends_s = recording.ends_s(SPANS_S[0])
    held = float("nan")
    rows, reasons = [], Counter[str]()
    for now_s in np.concatenate([np.arange(ends_s[0] - 1, recording.t_s[0], -1.0)[::-1], ends_s]).tolist():
        while samples and samples[0].captured_s <= now_s + 1e-9:
            trace.append(samples.popleft())
        while trace and trace[0].captured_s < now_s - TRACE_S:
            trace.popleft()
        seen = observer.observe(tuple(trace), now_s)
        if now_s < ends_s[0]:
            continue
        bpm, quality = observer.estimate or (held, 0.0)
        held = bpm
        told = seen.value.bpm if isinstance(seen.value, HeartRate) else float("nan")
        rows.append((bpm, quality, told, seen.quality))
        reasons["told" if seen.reason is None else str(seen.reason)] += 1
    estimate, estimate_quality, told_bpm, told_quality = np.array(rows).reshape(-1, 4).T
    return _Read(estimate, estimate_quality, told_bpm, told_quality, reasons)

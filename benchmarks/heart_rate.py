"""Heart rate: cost per frame and per estimate, memory over a day of frames, and the error on made traces.

    python benchmarks/heart_rate.py [--hours 24] [--seeds 6] [--json FILE]

Times are of the processor, all threads together, so that other work on the machine counts for little. A day is
simulated: every frame's sample goes through the real trace and observer. Each hour begins with two minutes at the
daemon's cadence, goes on with an estimate a minute, and ends with the face lost for a while. Made traces say what the
mathematics can do, not what a camera at a cot will see; `python -m export evaluate heart-rate` judges recordings and
renders.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edgemon.config import Cadence
from edgemon.faces.patch import patch
from edgemon.faces.regions import mean_rgb
from edgemon.frames.trace import TraceRing
from edgemon.health import memory_bytes
from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.pipeline import TRACE_S
from edgemon.records import Face, SkinSample
from export.heart_rate.answers import OURS_ALL, OURS_TRUSTED, answer
from export.heart_rate.made import Recipe as MadeRecipe
from export.heart_rate.made import every, made
from export.heart_rate.peers import PEERS, window_rgb
from export.heart_rate.scores import Windows, pooled, score

FPS = 30
PEER_WINDOW_S = 10.0
HOUR_S, LOST_S, BRISK_S = 3600.0, 40.0, 120.0
ASK_EVERY_S = 60.0
SETTLED = 0.1  # share of the day after which caches are warm
_UPRIGHT = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5], [-0.38, 0.95], [0.38, 0.95]])  # in eye distances


@dataclass(frozen=True)
class Cost:
    """Milliseconds of CPU: the median of many runs."""

    what: str
    ms: float


@dataclass(frozen=True)
class Memory:
    """Resident memory after the first tenth of the frames and at the end, and what Python holds after a last hour."""

    hours: float
    frames: int
    estimates: int
    settled_mb: float
    end_mb: float
    growth_mb: float
    traced_growth_mb: float


@dataclass(frozen=True)
class Made:
    """One kind of made trace: errors in bpm over windows of 10 s, None where there is no pulse in the band."""

    kind: str
    windows: int
    mae_every_window: float | None
    mae_trusted: float | None
    within_5_trusted: float | None
    values: float  # share of windows with a value


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """The median time of one call."""
    spent = []
    for _ in range(repeats):
        began_s = time.process_time()
        work()
        spent.append(time.process_time() - began_s)
    return 1e3 * float(np.median(spent))


def frame_costs() -> Iterator[Cost]:
    """What each frame costs: regions, patch and trace, on a face as large as a newborn's at two sizes of picture."""
    rng = np.random.default_rng(0)
    for width, height, face_px in ((320, 240, 106), (640, 480, 212)):
        rgb = rng.integers(60, 180, (height, width, 3), dtype=np.uint8)
        middle = np.array([width / 2, height / 2])
        landmarks = (middle + _UPRIGHT * face_px * 0.45).astype(np.float32)
        half = face_px / 2
        box = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
        face = Face(1, box, landmarks, 0.9, 0.0, 0.0)
        what = f"{width}x{height}, face {face_px} px"
        yield Cost(f"region means, {what}", median_ms(partial(mean_rgb, rgb, face), 2000))
        yield Cost(f"patch, {what}", median_ms(partial(patch, rgb, landmarks), 2000))
    ring, colour, many = TraceRing(int(TRACE_S * FPS)), np.full((3, 3), 120, np.float32), count()

    def append() -> None:
        n = next(many)
        ring.append(SkinSample(n / FPS, n, 1, colour))

    yield Cost("trace append", median_ms(append, 20000))


def estimate_costs(seconds: int = 80) -> Iterator[Cost]:
    """One estimate a second on a filled trace, and each peer's estimate on the same trace in turn with it."""
    recording = made(0, "cost", MadeRecipe(0.003, 0.1, 0.01))
    samples, observer = recording.samples(), HeartRateObserver("cot-1")
    times_s = np.array([s.captured_s for s in samples])
    spent: dict[str, list[float]] = {name: [] for name in ("ours", *PEERS)}
    for now_s in np.arange(1.0, seconds):
        stop = int(np.searchsorted(times_s, now_s, side="right"))
        trace = tuple(samples[max(0, stop - int(TRACE_S * FPS)) : stop])
        began_s = time.process_time()
        observer.observe(trace, float(now_s))
        own_s = time.process_time() - began_s
        if now_s <= TRACE_S:
            continue
        spent["ours"].append(own_s)
        found = window_rgb(recording, float(now_s), PEER_WINDOW_S)
        assert found is not None
        for name, estimate in PEERS.items():
            began_s = time.process_time()
            estimate(*found)
            spent[name].append(time.process_time() - began_s)
    for name, of in spent.items():
        yield Cost(name, 1e3 * float(np.median(of)))


def resident_mb() -> float:
    """Resident memory of this process."""
    held = memory_bytes()
    if held is None:
        raise SystemExit("no /proc/self/statm here: memory cannot be measured")
    return held / 1e6


def day(hours: float) -> Memory:
    """Feeds the frames of so many hours, and one more hour under the eye of tracemalloc."""
    ring, observer = TraceRing(int(TRACE_S * FPS)), HeartRateObserver("cot-1")
    feed, estimates = _feed(ring, observer), 0

    def run(for_hours: float) -> float:
        """Megabytes resident after so many more hours."""
        nonlocal estimates
        with tqdm(total=round(for_hours * 60), unit=" min", disable=None) as bar:
            for _ in range(round(for_hours * 60)):
                estimates += next(feed)
                bar.update()
        gc.collect()
        return resident_mb()

    settled_mb = run(SETTLED * hours)
    end_mb = run((1 - SETTLED) * hours)
    told = estimates
    tracemalloc.start()
    run(0.5)  # replaces what was held before tracing began
    before = tracemalloc.get_traced_memory()[0]
    run(1.0)
    traced_mb = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    return Memory(hours, round(hours * HOUR_S * FPS), told, settled_mb, end_mb, end_mb - settled_mb, traced_mb)


def _feed(ring: TraceRing, observer: HeartRateObserver) -> Iterator[int]:
    """Frame by frame for ever; yields each minute's number of estimates.

    Where the face is lost no sample comes, as in the daemon.
    """
    loop = made(1, "day", MadeRecipe(0.003, 0.1, 0.01, drop=0.01))
    colours = loop.rgb.astype(np.float32)
    ask_s, asked = 1.0, 0
    for seq in count(1):
        now_s = seq / FPS
        in_hour_s = now_s % HOUR_S
        if in_hour_s < HOUR_S - LOST_S:
            ring.append(SkinSample(now_s, seq, 1 + int(now_s // HOUR_S), colours[seq % len(colours)].copy()))
        if now_s >= ask_s:
            observer.observe(ring.snapshot(), now_s)
            ask_s += 1 / Cadence().heart_rate_hz if in_hour_s < BRISK_S else ASK_EVERY_S
            asked += 1
        if seq % (60 * FPS) == 0:
            yield asked
            asked = 0


def made_rows(seeds: int) -> Iterator[Made]:
    """One row a kind, pooled over its seeds."""
    found: dict[str, list[tuple[Windows, Windows]]] = {}
    for recording in tqdm(every(range(seeds)), unit=" traces", disable=None):
        answers = answer(recording, {})
        pair = answers.windows[OURS_ALL, PEER_WINDOW_S], answers.windows[OURS_TRUSTED, PEER_WINDOW_S]
        found.setdefault(recording.data, []).append(pair)
    for kind, pairs in found.items():
        estimates, told = pooled(p[0] for p in pairs), pooled(p[1] for p in pairs)
        every_window, trusted = score(estimates), score(told)
        yield Made(
            kind,
            len(told),
            _known(every_window.mae),
            _known(trusted.mae),
            _known(trusted.within_5),
            float(told.answered.mean()),
        )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def main() -> None:
    """Print the tables; write them as JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="of frames, for the memory")
    parser.add_argument("--seeds", type=int, default=6, help="traces of each made kind")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    machine = f"{platform.platform()}, {platform.processor() or platform.machine()}"
    print(f"{machine}; detector {Cadence().face_hz:g} Hz, heart rate {Cadence().heart_rate_hz:g} Hz")
    frames, estimates = list(frame_costs()), list(estimate_costs())
    print("per frame, ms of CPU (asked for: region means <= 0.03)")
    for cost in frames:
        print(f"  {cost.what:<44}{cost.ms:8.4f}")
    print("per estimate, ms of CPU (asked for: ours <= 0.5), and ours as a share of each peer's on 10 s")
    for cost in estimates:
        share = f"{estimates[0].ms / cost.ms:8.2f}" if cost is not estimates[0] else ""
        print(f"  {cost.what:<44}{cost.ms:8.3f}{share}")
    memory = day(args.hours)
    print(
        f"memory: {memory.frames} frames, {memory.estimates} estimates: {memory.settled_mb:.1f} MB after a tenth, "
        f"{memory.end_mb:.1f} MB at the end: growth {memory.growth_mb:.2f} MB (asked for: <= 2); "
        f"Python's own in one more hour {memory.traced_growth_mb:.3f} MB"
    )
    rows = list(made_rows(args.seeds))
    print(f"{'':32}{'windows':>8}{'MAE every':>11}{'trusted':>9}{'<= 5 bpm':>9}{'values':>8}")
    for row in rows:
        cells = [f"{v:.2f}" if v is not None else "-" for v in (row.mae_every_window, row.mae_trusted)]
        within = f"{row.within_5_trusted:.0%}" if row.within_5_trusted is not None else "-"
        print(f"{row.kind:<32}{row.windows:>8}{cells[0]:>11}{cells[1]:>9}{within:>9}{row.values:>8.1%}")
    if args.json:
        found: dict[str, list[Any]] = {"frame_ms": frames, "estimate_ms": estimates, "memory": [memory], "made": rows}
        text = {"machine": machine} | {name: [asdict(row) for row in of] for name, of in found.items()}
        args.json.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

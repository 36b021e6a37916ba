"""How the shipped network errs over time on rendered clips: `python -m export fit-nights CLIP.mp4 ...`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed, Config, Models
from edgemon.frames import open_source
from edgemon.pipeline import build_sights
from edgemon.records import Expression
from export.infant.clip import EASE_S, blink_at
from export.infant.script import SCRIPTS
from export.nights.noise import Channel, channel_of, logit

CLIP_SEED = 7  # of blinks in `synthesize clip`
SETTLED_S = EASE_S + 0.3  # after a change of the script the face is no longer on its way
FIELDS = ("eyes_closed", "crying", "yawning")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trace:
    """What was said of one clip: times (n,), probabilities (n, 3) and truths (n, 3) of looks that gave a value.

    A probability is NaN where its region was hidden. `looks` counts all looks, `judged` (n,) tells those where the
    face is not between two expressions and does not blink.
    """

    name: str
    at_s: Floats
    said: Floats
    truth: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    looks: int


def watch(clip: Path, models: Path) -> Trace:
    """Look at a clip as the device does: its detector, tracker and network at their own rates.

    Raises:
        ValueError: no truth lies beside the clip.
    """
    beside = clip.with_suffix(".truth.json")
    if not beside.is_file():
        raise ValueError(f"{clip}: its truth {beside.name} is missing; make both with `synthesize clip`")
    seconds = json.loads(beside.read_text(encoding="utf-8"))["seconds"]
    bed = Bed(id="clip", source=str(clip), fps=30)
    (sight,) = build_sights(Config(beds=(bed,), models=Models(folder=models.resolve(), pulse=None)))
    source, rows, looks = open_source(bed, paced=False), [], 0
    source.open()
    try:
        for frame in iter(source.read, None):
            told = [o for o in sight.look(frame).observations if o.observer == "expression"]
            looks += len(told)
            rows += [(o.captured_s, o.value) for o in told if isinstance(o.value, Expression)]
    finally:
        source.close()
    start_s = rows[0][0] if rows else 0.0
    at_s = np.array([at for at, _ in rows])
    second = [seconds[min(int(at), len(seconds) - 1)] for at in at_s - min(start_s, 0.0)]
    truth = np.array([(s["eyes"] == "closed", s["cry"], False) for s in second], bool).reshape(-1, 3)
    said = np.array([[getattr(value, field) for field in FIELDS] for _, value in rows], np.float64).reshape(-1, 3)
    return Trace(clip.stem, at_s, said, truth, _settled(at_s, truth), looks)


def _settled(at_s: Floats, truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    changed = np.flatnonzero((truth[1:] != truth[:-1]).any(axis=1)) + 1
    keep = np.ones(len(at_s), bool)
    for moment in at_s[changed]:
        keep &= (at_s < moment - 1.0) | (at_s > moment + SETTLED_S)
    still = np.array([blink_at(SCRIPTS["demo"], float(t), CLIP_SEED) < 0.2 for t in at_s], bool)
    return keep & (still | truth[:, 0])


def fit(traces: Sequence[Trace]) -> Iterator[tuple[str, bool, Channel]]:
    """Each channel's errors where its truth is no and where it is yes; a yawn is never shown, so only no."""
    for column, field in enumerate(FIELDS):
        for truth in (False, True):
            runs = []
            for trace in traces:
                keep = trace.judged & (trace.truth[:, column] == truth) & np.isfinite(trace.said[:, column])
                runs.append((trace.at_s[keep], logit(trace.said[keep, column])))
            runs = [run for run in runs if len(run[0]) >= 40]
            if runs:
                yield field, truth, channel_of(runs, truth)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fit-nights`."""
    parser.add_argument("clips", type=Path, nargs="+", help="videos of `synthesize clip`, of infants not trained on")
    parser.add_argument("--models", type=Path, default=Path("models"))


def run(args: argparse.Namespace) -> int:
    """Print what `export.nights.noise` is set by."""
    traces = [watch(clip, args.models) for clip in args.clips]
    for trace in traces:
        told = np.isfinite(trace.said) & trace.judged[:, None]
        wrong = ((trace.said >= 0.5) != trace.truth) & told
        shares = ", ".join(f"{f} {n:.3f}" for f, n in zip(FIELDS, wrong.sum(0) / told.sum(0), strict=True))
        print(f"{trace.name}: {trace.looks} looks, {len(trace.at_s) / trace.looks:.2f} read; frames wrong: {shares}")
    for field, truth, channel in fit(traces):
        print(f"{field:<12}{'yes' if truth else 'no':<5}{channel}")
    return 0

"""How far the messages of a replayed clip agree with the clip's truth: heart rate, eyes, cry.

    python benchmarks/replay.py [--clip clip|clip2|FILE.mp4] [--json FILE]

A second counts for eyes and cry when no change of the truth lies within 3 s of it; a heart rate is compared with the
mean truth over the same window. A state that says "unknown" does not agree.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed, Config
from edgemon.frames.clip import clip_path
from edgemon.messages import payloads as p
from edgemon.replay import messages

NEAR_CHANGE_S = 3.0
RIGHT_WITHIN_BPM = 4.0


@dataclass(frozen=True)
class Score:
    """Shares 0..1, and the mean absolute error of valid heart rates in bpm."""

    clip: str
    heart_rates: int
    heart_rate_valid: float
    heart_rate_right_of_valid: float
    heart_rate_mae_bpm: float
    eyes_seconds: int
    eyes_agree: float
    cry_seconds: int
    cry_agree: float


def score(clip: str) -> Score:
    """Replay a clip and compare."""
    path = clip_path(clip) if clip in ("clip", "clip2") else Path(clip)
    rows = json.loads(path.with_suffix(".truth.json").read_text(encoding="utf-8"))["seconds"]
    rates: list[tuple[float, p.HeartRateReading]] = []
    states: list[tuple[float, p.State]] = []
    for message in messages(Config(), Bed(id="cot-1", source=clip)):
        payload = message.payload
        if isinstance(payload, p.HeartRateVital):
            rates.append((payload.mono_ms / 1000, payload.heart_rate))
        elif isinstance(payload, p.State):
            states.append((payload.mono_ms / 1000, payload))
    errors = _rate_errors(rows, rates)
    eyes = _agreement(rows, states, "eyes", lambda state: state.eyes.value)
    cry = _agreement(rows, states, "cry", lambda state: state.cry.value and state.cry.value == "crying")
    return Score(
        clip=clip,
        heart_rates=len(rates),
        heart_rate_valid=len(errors) / max(1, len(rates)),
        heart_rate_right_of_valid=float((errors <= RIGHT_WITHIN_BPM).mean()) if len(errors) else 0.0,
        heart_rate_mae_bpm=float(errors.mean()) if len(errors) else float("nan"),
        eyes_seconds=len(eyes),
        eyes_agree=float(np.mean(eyes)),
        cry_seconds=len(cry),
        cry_agree=float(np.mean(cry)),
    )


def _rate_errors(rows: list[dict[str, object]], rates: list[tuple[float, p.HeartRateReading]]) -> NDArray[np.float64]:
    times = np.array([float(str(row["t_s"])) for row in rows])
    truth = np.array([float(str(row["hr_bpm"])) for row in rows])
    errors = []
    for at_s, reading in rates:
        if reading.value is None or reading.window_s is None:
            continue
        moments = np.linspace(at_s - reading.window_s, at_s, 50)
        errors.append(abs(reading.value - float(np.interp(moments, times, truth).mean())))
    return np.array(errors)


def _agreement(
    rows: list[dict[str, object]], states: list[tuple[float, p.State]], key: str, told: Callable[[p.State], object]
) -> list[bool]:
    changes = [float(str(b["t_s"])) for a, b in itertools.pairwise(rows) if a[key] != b[key]]
    agree = []
    for row in rows:
        middle_s = float(str(row["t_s"])) + 0.5
        if middle_s < NEAR_CHANGE_S or any(abs(middle_s - change) < NEAR_CHANGE_S for change in changes):
            continue
        newest = [state for at_s, state in states if at_s <= middle_s]
        agree.append(bool(newest) and told(newest[-1]) == row[key])
    return agree


def main() -> int:
    """Print the score."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", default="clip")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = score(args.clip)
    print(f"clip {found.clip} (renders)")
    print(f"heart rate  valid {found.heart_rate_valid:6.1%} of {found.heart_rates}   "
          f"within {RIGHT_WITHIN_BPM:g} bpm {found.heart_rate_right_of_valid:6.1%} of valid   "
          f"MAE {found.heart_rate_mae_bpm:.2f} bpm")  # fmt: skip
    print(f"eyes        agree {found.eyes_agree:6.1%} of {found.eyes_seconds} s")
    print(f"cry         agree {found.cry_agree:6.1%} of {found.cry_seconds} s")
    if args.json:
        args.json.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How many frames of rendered clips show the infant's face where it is, through hands, turns and the evening.

    python -m export synthesize clip --script visits --seconds 300 --fps 5 --size 320x240 --identity N --out DIR/N.mp4
    python benchmarks/tracking.py --clips DIR [--face-hz 5 2.5 1.25] [--models DIR --model face] [--json FILE]

Every frame goes through the pipeline's own `Sight.look` on the clip's clock, whatever is shown is compared with the
truth of that frame, and the detector alone runs on every frame beside it. A hit lies on the face as in
`export evaluate face`: centre within 0.4 face sizes, size within half and double. Frames before the first detection
count. CPU is of detection, tracking and view together, without the readers of expression and pulse.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon import manifest
from edgemon.config import Bed, Cadence
from edgemon.faces.detect import Detection, FaceDetector
from edgemon.frames import open_source
from edgemon.inference import Model
from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.pipeline import Sight
from edgemon.records import Frame
from export.evaluate_face import lies_on

SHARES = {">= 50 %": (0.5, 1.01), "> 80 %": (0.8, 1.01), "50-80 %": (0.5, 0.8), "30-50 %": (0.3, 0.5)}
GONE, GONE_S = 0.1, 4.0  # a face less visible than this for longer than this should not be shown


@dataclass(frozen=True)
class TrueFace:
    """The face of one frame as the renderer knows it; `box` None: none in view."""

    box_px: tuple[float, float, float, float] | None
    landmarks: NDArray[np.float32]
    visible: float

    def box(self) -> tuple[float, float, float, float]:
        """xyxy px."""
        assert self.box_px is not None
        return self.box_px


@dataclass(frozen=True)
class Score:
    """One clip at one cadence; recalls 0..1 by the face's visible share."""

    clip: str
    face_hz: float
    frames: dict[str, int]
    recall: dict[str, float]
    detector_recall: dict[str, float]
    id_changes: int
    shown_when_gone: int
    longest_miss_s: float  # of frames with at least half of the face visible, in one piece
    detections_per_s: float
    cpu_ms_per_frame: float


class Counting:
    """A detector that counts its runs."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector, self.runs = detector, 0

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """The faces in one image."""
        self.runs += 1
        return self._detector.detect(image)


def truths(clip: Path) -> list[TrueFace]:
    """A row for each frame."""
    truth = clip.with_suffix(".truth.json")
    if not truth.is_file():
        raise SystemExit(f"{truth}: missing; render the clip with --script visits, which writes its truth beside it")
    rows = json.loads(truth.read_text(encoding="utf-8")).get("frame_face")
    if rows is None:
        raise SystemExit(f"{clip}: its truth has no faces; render it with --script visits")
    return [
        TrueFace(
            row["box"] and tuple(row["box"]), np.array(row["landmarks"], np.float32).reshape(-1, 2), row["visible"]
        )
        for row in rows
    ]


def frames(clip: Path) -> Iterator[Frame]:
    """All frames on the clip's own clock, in its own size."""
    video = cv2.VideoCapture(str(clip))
    width, height = (int(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    video.release()
    source = open_source(Bed(id="b", source=str(clip), width_px=width, height_px=height), paced=False)
    source.open()
    try:
        while (frame := source.read()) is not None:
            yield frame
    finally:
        source.close()


def score(clip: Path, detector: FaceDetector, face_hz: float, alone: Sequence[bool]) -> Score:
    """Play a clip; `alone` says for each frame whether the detector alone finds the face."""
    counting = Counting(detector)
    sight = Sight(
        Bed(id="b", fps=30),
        Cadence(face_hz=face_hz),
        detector=counting,
        observers=(),
        heart_rate=HeartRateObserver("b"),
    )
    known, shown, times_s, cpu_s = truths(clip), [], [], 0.0
    for frame in frames(clip):
        begun_s = time.process_time()
        shown.append(sight.look(frame).face)
        cpu_s += time.process_time() - begun_s
        times_s.append(frame.captured_s)
    hits = [
        face is not None
        and truth.box_px is not None
        and lies_on(Detection(face.box, face.landmarks, face.score), truth)
        for face, truth in zip(shown, known, strict=True)
    ]
    ids = [face.track_id for face in shown if face is not None]
    return Score(
        clip=clip.name,
        face_hz=face_hz,
        frames={name: sum(_within(truth, *span) for truth in known) for name, span in SHARES.items()},
        recall=_recall(known, hits),
        detector_recall=_recall(known, alone),
        id_changes=sum(a != b for a, b in pairwise(ids)),
        shown_when_gone=_shown_when_gone(known, [face is not None for face in shown], times_s),
        longest_miss_s=_longest_miss_s(known, hits, times_s),
        detections_per_s=counting.runs / (times_s[-1] - times_s[0]),
        cpu_ms_per_frame=1000 * cpu_s / len(shown),
    )


def _within(truth: TrueFace, low: float, high: float) -> bool:
    return truth.box_px is not None and low <= truth.visible < high


def _recall(known: Sequence[TrueFace], hits: Sequence[bool]) -> dict[str, float]:
    found = {name: [hit for t, hit in zip(known, hits, strict=True) if _within(t, *s)] for name, s in SHARES.items()}
    return {name: float(np.mean(of)) if of else float("nan") for name, of in found.items()}


def _shown_when_gone(known: Sequence[TrueFace], shown: Sequence[bool], times_s: Sequence[float]) -> int:
    count, seen_s = 0, -np.inf
    for truth, face, at_s in zip(known, shown, times_s, strict=True):
        if _within(truth, GONE, 1.01):
            seen_s = at_s
        count += face and at_s - seen_s > GONE_S
    return count


def _longest_miss_s(known: Sequence[TrueFace], hits: Sequence[bool], times_s: Sequence[float]) -> float:
    longest_s = since_s = 0.0
    missing = False
    step_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    for truth, hit, at_s in zip(known, hits, times_s, strict=True):
        missed = _within(truth, 0.5, 1.01) and not hit
        since_s = since_s if missing and missed else at_s
        missing = missed
        longest_s = max(longest_s, at_s - since_s + step_s) if missed else longest_s
    return longest_s


def lines(scores: Sequence[Score]) -> Iterator[str]:
    """The table, with all clips of a cadence together below them."""
    yield (
        f"{'clip':<20}{'face_hz':>8}"
        + "".join(f"{name:>16}" for name in SHARES)
        + (f"{'ids':>5}{'ghosts':>8}{'miss s':>8}{'runs/s':>8}{'CPU ms':>8}")
    )
    for s in scores:
        cells = "".join(f"{100 * s.recall[n]:>8.2f}{100 * s.detector_recall[n]:>8.2f}" for n in SHARES)
        rest = f"{s.longest_miss_s:>8.1f}{s.detections_per_s:>8.2f}{s.cpu_ms_per_frame:>8.2f}"
        yield f"{s.clip:<20}{s.face_hz:>8g}{cells}{s.id_changes:>5}{s.shown_when_gone:>8}{rest}"
    for face_hz in dict.fromkeys(s.face_hz for s in scores):
        of = [s for s in scores if s.face_hz == face_hz]
        cells = "".join(f"{100 * _pooled(of, n, True):>8.2f}{100 * _pooled(of, n, False):>8.2f}" for n in SHARES)
        yield f"{'all':<20}{face_hz:>8g}{cells}"
    yield "two figures each: recall % of the tracked pipeline, and of the detector alone on every frame"


def _pooled(scores: Sequence[Score], name: str, tracked: bool) -> float:
    weights = [s.frames[name] for s in scores]
    values = [(s.recall if tracked else s.detector_recall)[name] for s in scores]
    counted = [(w, v) for w, v in zip(weights, values, strict=True) if w]
    return float(np.average([v for _, v in counted], weights=[w for w, _ in counted])) if counted else float("nan")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=Path, required=True, help="a folder of clips made with --script visits")
    parser.add_argument("--face-hz", type=float, nargs="+", default=[5.0, 2.5, 1.25], help="detector cadences")
    parser.add_argument("--models", type=Path, default=manifest.default_folder())
    parser.add_argument("--model", default="face")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    detector = FaceDetector(Model.open(args.models, args.model))
    clips = sorted(args.clips.glob("*.mp4"))
    if not clips:
        parser.error(f"{args.clips}: no .mp4 in it")
    scores = []
    for clip in clips:
        known = truths(clip)
        alone = [
            truth.box_px is not None and any(lies_on(found, truth) for found in detector.detect(frame.rgb))
            for frame, truth in zip(frames(clip), known, strict=True)
        ]
        scores += [score(clip, detector, face_hz, alone) for face_hz in args.face_hz]
    for line in lines(scores):
        print(line)
    if args.json:
        args.json.write_text(json.dumps([asdict(s) for s in scores], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

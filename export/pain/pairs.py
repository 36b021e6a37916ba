"""Pairs of a calm picture and a later one of the same synthetic newborn, for the strain between the two."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edgemon.inference import aligned_crop
from export.infant.clip import Clip, Stage, draw_known, set_stage
from export.infant.script import Script, Segment
from export.infant.sensor import develop
from export.pain.samples import COLUMNS, SIDE_PX

SIZE_PX, FACE_PX = (240, 240), 130.0
TABLE = "pairs.csv"
CALM_S, LATER_S, PEAK_S = 1.0, 2.5, 7.5


def write(folder: Path, count: int) -> Path:
    """Two rows for each infant: calm to calm, with breathing, sway and lids that move, and calm to crying.

    The table is written last, so that a folder that has one is whole. Infants are of the test split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_draw(folder, 10 * k + 9) for k in tqdm(range(count), unit="infant", disable=None)]
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([(*COLUMNS, "calm"), *(row for rows in drawn for row in rows)])
    return folder / TABLE


def _draw(folder: Path, identity: int) -> list[tuple[str, str, str, str]]:
    rng = np.random.default_rng(identity)
    eyes = ("open", "closed") if rng.random() < 0.5 else ("closed", "open")
    segments = (
        Segment(2.0, eyes[0], False, 130, "awake", "calm"),
        Segment(3.0, eyes[1], False, 130, "awake", "calm"),
        Segment(4.0, "closed", True, 180, "awake", "crying"),
    )
    clip = Clip(Script(segments, 130, identity, float(rng.uniform(-25, 25))), SIZE_PX, 10, face_px=FACE_PX)
    stage, place = set_stage(clip), None
    names = {}
    for name, t_s in (("calm", CALM_S), ("later", LATER_S), ("peak", PEAK_S)):
        crop, place = _crop(clip, stage, t_s, place)
        names[name] = f"{identity:05d}-{name}.png"
        cv2.imwrite(str(folder / names[name]), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    told = (("later", "no pain"), ("peak", "pain"))
    return [(names[name], str(identity), label, names["calm"]) for name, label in told]


Place = tuple[tuple[float, float, float, float], np.ndarray]


def _crop(clip: Clip, stage: Stage, t_s: float, place: Place | None) -> tuple[np.ndarray, Place]:
    """Every picture of a pair is cut where the calm face was, so that the strain is of the skin and not of the crop."""
    colour, truth = draw_known(clip, stage, t_s)
    rgb = develop(np.random.default_rng([clip.script.identity, int(10 * t_s)]), colour, stage.sensor, stage.gain)
    if place is None:
        assert truth.face_box is not None
        place = truth.face_box, np.array(truth.landmarks, np.float32)
    return aligned_crop(rgb, *place, SIDE_PX), place

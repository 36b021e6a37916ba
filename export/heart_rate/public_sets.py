"""The public recordings that are known by their folders: rhesus monkeys, fingers on telephones, compressed clips."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from export.heart_rate.tables import number, rows_of
from export.heart_rate.traces import Array, Recording, steps_at

_RHESUS_HZ = {  # summary.txt of the set
    "1": 30, "2": 30, "3": 50, "4": 100, "5": 50, "6": 50, "7": 50, "8": 50, "2IR": 30, "9IR": 100, "10IR": 50,
}  # fmt: skip
_LONG_SEGMENTS = ("1", "2", "2IR")


def is_rhesus(folder: Path) -> bool:
    """Whether it holds SessionN/SessionN.bin."""
    return any(folder.glob("Session*/Session*.bin"))


def rhesus(folder: Path) -> Iterator[Recording]:
    """Faces of rhesus monkeys (Unakafov 2018): little-endian float32 RGB means, and a mean rate per 8.5 or 5 s.

    Where a session has regions of its own, those are its regions, else its one trace; infrared ones are grey.
    """
    for place in sorted(folder.glob("Session*"), key=lambda p: (len(p.name), p.name)):
        session = place.name.removeprefix("Session")
        if not place.is_dir():
            continue
        if session not in _RHESUS_HZ:
            raise ValueError(f"{place}: no session of this set; its frame rate is not known")
        reference = place / f"Session{session}_REF.csv"
        rates = [number(cell, reference, line) for line, row in rows_of(reference) for cell in row if cell]
        parts = sorted(place.glob(f"Session{session}Region?.bin")) or [place / f"Session{session}.bin"]
        rgb = np.stack([_means(part) for part in parts], axis=1)
        t_s = np.arange(len(rgb)) / _RHESUS_HZ[session]
        segment_s = 8.5 if session in _LONG_SEGMENTS else 5.0
        bpm = steps_at(t_s, np.arange(0.0, len(rates)) * segment_s, np.array(rates), len(rates) * segment_s)
        colour = "IR" if session.endswith("IR") else "RGB"
        yield Recording(
            place.name, f"session {session.removesuffix('IR')}", f"rhesus {colour}", "rhesus", t_s, rgb, bpm
        )


def _means(path: Path) -> Array:
    values = np.fromfile(path, "<f4")
    if not values.size or values.size % 3:
        raise ValueError(f"{path}: {values.size} float32 values are no rows of r, g, b")
    return values.reshape(-1, 3).astype(np.float64)


def is_finger(folder: Path) -> bool:
    """Whether it holds [data/]SUBJECT/PPG.csv."""
    return any(folder.glob("*/PPG.csv")) or any(folder.glob("data/*/PPG.csv"))


def finger(folder: Path) -> Iterator[Recording]:
    """Fingertips on the cameras of telephones (Welltory): `time,R,G,B` in irregular ms; RR intervals in ms."""
    for path in sorted([*folder.glob("*/PPG.csv"), *folder.glob("data/*/PPG.csv")]):
        rows = [[number(cell, path, line) for cell in row] for line, row in rows_of(path, ("time", "R", "G", "B"))]
        table = np.array(rows)
        intervals = path.with_name("RR.txt")
        rr_ms = [
            number(cell, intervals, line)
            for line, text in enumerate(intervals.read_text(encoding="utf-8").splitlines(), 1)
            for cell in text.split()
        ]
        if not rr_ms or min(rr_ms) <= 0:
            raise ValueError(f"{intervals}: needs RR intervals above 0 ms")
        beats_s = np.concatenate([[0.0], np.cumsum(rr_ms)]) / 1000
        fresh = np.concatenate([[True], np.diff(table[:, 0]) > 0])
        t_s = table[fresh, 0] / 1000
        bpm = steps_at(t_s, beats_s[:-1], 60000 / np.array(rr_ms), float(beats_s[-1]))
        yield Recording(path.parent.name, path.parent.name, "finger", "finger", t_s, table[fresh, None, 1:], bpm)


def is_compressed(folder: Path) -> bool:
    """Whether it holds Ground_Truth/ and videos."""
    return (folder / "Ground_Truth").is_dir() and any(folder.glob("*/*.avi"))


def compressed(folder: Path) -> Iterator[Recording]:
    """Skin crops that compression has robbed of their pulse (bias-eval-rppg): the whole picture is the one region.

    No peer reads them better than by chance, so the right answer is none, and their one mean rate a subject is unused.
    """
    for path in sorted(folder.glob("*/*.avi")):
        capture = cv2.VideoCapture(str(path))
        fps = capture.get(cv2.CAP_PROP_FPS)
        means = []
        while True:
            good, frame = capture.read()
            if not good:
                break
            means.append(frame.reshape(-1, 3).mean(axis=0)[::-1])
        capture.release()
        if len(means) < 2 or fps <= 0:
            raise ValueError(f"{path}: no video that can be read")
        subject = re.sub(r"_.*", "", path.stem)
        t_s = np.arange(len(means)) / fps
        yield Recording(
            f"{path.parent.name}/{path.stem}",
            f"{path.parent.name}/{subject}",
            "compressed",
            "compressed",
            t_s,
            np.array(means)[:, None],
            None,
        )

"""Recordings of heart rate by the layout of their folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from export.heart_rate import plain, public_sets, videos
from export.heart_rate.traces import Recording

Read = Callable[[Path], Iterator[Recording]]


def open_any(folder: Path, models: Path = Path("models")) -> Iterator[Recording]:
    """Every recording of a folder in one of the known layouts; `models` holds the face detector that videos need.

    Raises:
        ValueError: the folder has no known layout, or something in it is malformed.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    readers: tuple[tuple[Callable[[Path], bool], Read], ...] = (
        (public_sets.is_rhesus, public_sets.rhesus),
        (public_sets.is_finger, public_sets.finger),
        (public_sets.is_compressed, public_sets.compressed),
        (plain.is_rendered, plain.rendered),
        (plain.is_traces, plain.traces),
        (videos.is_videos, partial(videos.videos, models=models)),
    )
    known = [read for recognises, read in readers if recognises(folder)]
    if not known:
        raise ValueError(
            f"{folder}: no recording found: Session*/Session*.bin, */PPG.csv with RR.txt, Ground_Truth/ with videos, "
            f"truth.jsonl with NNN.npz, or NAME.csv (t_s,r,g,b) and videos with NAME{plain.REFERENCE} (t_s,bpm)"
        )
    for read in known:
        yield from read(folder)

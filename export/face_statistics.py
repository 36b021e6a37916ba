"""What an annotated set of faces holds: pictures, faces, subjects, splits and the sizes of the faces."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from export.datasets.labelled import Labelled, split_by_subject
from export.datasets.layouts import sources

PERCENTILES = (5, 50, 95)


@dataclass(frozen=True, slots=True)
class Statistics:
    """One set; `size_share` is sqrt(box area) / long side of the picture, both percentiles are of judged faces."""

    annotations: str
    layout: str
    pictures: int
    missing: int
    without_face: int
    faces: int
    judged: int
    with_landmarks: int
    clipped: int
    dropped: int
    subjects: int
    splits: tuple[tuple[int, int], ...]  # subjects and pictures of each
    sized: int  # judged faces in pictures whose size is known
    size_share: tuple[float, ...]
    height_to_width: tuple[float, ...]

    @classmethod
    def of(
        cls, annotations: str, layout: str, samples: Sequence[Labelled], shares: Sequence[float], seed: int
    ) -> Statistics:
        """Count; pictures are only opened where the annotations do not tell their size."""
        missing = sum(not sample.path.is_file() for sample in samples)
        samples = [sample.measured() for sample in samples]
        faces = [face for sample in samples for face in sample.faces]
        judged = [(face, sample.size_px) for sample in samples for face in sample.faces if face.judged]
        sizes = [face.size_px / max(size) for face, size in judged if size is not None]
        shapes = [(face.box[3] - face.box[1]) / (face.box[2] - face.box[0]) for face, _ in judged]
        return cls(
            annotations=annotations,
            layout=layout,
            pictures=len(samples),
            missing=missing,
            without_face=sum(not sample.faces for sample in samples),
            faces=len(faces),
            judged=len(judged),
            with_landmarks=sum(face.landmarks is not None for face in faces),
            clipped=sum("clipped" in face.flags for face in faces),
            dropped=sum(sample.dropped for sample in samples),
            subjects=len({sample.subject for sample in samples}),
            splits=tuple(
                (len({s.subject for s in part}), len(part)) for part in split_by_subject(samples, shares, seed)
            ),
            sized=len(sizes),
            size_share=_percentiles(sizes),
            height_to_width=_percentiles(shapes),
        )

    def lines(self) -> Iterator[str]:
        """For a person."""
        yield f"{self.annotations}: {self.layout}"
        yield f"  pictures {self.pictures}, {self.without_face} without a face; pictures missing: {self.missing}"
        yield (
            f"  faces {self.faces}: judged {self.judged}, with landmarks {self.with_landmarks}, clipped to the picture "
            f"{self.clipped}, rows without area {self.dropped}"
        )
        parts = ", ".join(f"{pictures} pictures of {subjects}" for subjects, pictures in self.splits)
        yield f"  subjects {self.subjects}; split by subject: {parts}"
        if self.size_share:
            rest = (
                "" if self.sized == self.judged else f" ({self.sized} faces; the others' pictures have no known size)"
            )
            yield f"  sqrt(area) / long side p5/50/95 {_told(self.size_share, 3)}{rest}"
        if self.height_to_width:
            yield f"  height / width p5/50/95 {_told(self.height_to_width, 2)}"


def _percentiles(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.percentile(values, PERCENTILES).tolist()) if values else ()


def _told(values: Sequence[float], digits: int) -> str:
    return "/".join(f"{value:.{digits}f}" for value in values)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `datasets`."""
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="annotated pictures, or an annotation file"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[6, 1, 3], help="of the subjects (default 6 1 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Print what every set of annotations in the folders holds."""
    found = [source for folder in args.folders for source in sources(folder)]
    told = []
    for source in found:
        told.append(Statistics.of(str(source.annotations), source.layout.name, source.read(), args.shares, args.seed))
        for line in told[-1].lines():
            print(line)
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(one) for one in told], indent=1) + "\n", encoding="utf-8")
    return 0

"""Where pictures come from: one protocol, and one table from the form of a bed's `source` to the class that reads it.

Frame sources: clip, clip2 (bundled) | picamera[:N] | N or /dev/videoN | rtsp://... | a video file | depth:FOLDER or
depth:/dev/videoN.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edgemon.config import Bed
from edgemon.errors import SourceUnavailable
from edgemon.frames.clip import open_clip
from edgemon.frames.depth import FORM as DEPTH
from edgemon.frames.depth import open_depth
from edgemon.frames.pi_camera import PiCamera
from edgemon.frames.rtsp import Rtsp
from edgemon.frames.v4l2 import V4l2
from edgemon.frames.video import VideoFile
from edgemon.records import Frame


class FrameSource(Protocol):
    """A camera, stream or file that gives the frames of one bed, in order, turned upright and of the configured size.

    `seq` starts at 0 and rises by 1; where a source knows that it lost a frame, by more. `captured_s` never falls. A
    source is used by one thread; after `close` it may be opened again.
    """

    @property
    def bed(self) -> str:
        """The bed that it watches."""

    @property
    def name(self) -> str:
        """What it is, for messages; holds no password."""

    @property
    def live(self) -> bool:
        """Whether it has a clock of its own, so that its end is a loss."""

    def open(self) -> None:
        """Start it.

        Raises:
            SourceUnavailable: it is not there, or in use.
            SourceUndecodable: it is there but holds no picture.
        """

    def read(self) -> Frame | None:
        """The next frame, or None at the end; may block for ever.

        Raises:
            SourceLost: it failed after it was opened.
        """

    def close(self) -> None:
        """Release the device and every buffer; does nothing the second time."""


_FORMS: tuple[tuple[str, Callable[[Bed, bool], FrameSource]], ...] = (
    (r"clip2?", open_clip),
    (r"picamera(:\d+)?", lambda bed, _: PiCamera(bed)),
    (r"\d+|/dev/video\d+", lambda bed, _: V4l2(bed)),
    (r"rtsps?://.+", lambda bed, _: Rtsp(bed)),
    (DEPTH, open_depth),
)


def gives_depth(source: str) -> bool:
    """Whether a bed's source is of depth, by its form."""
    return re.fullmatch(DEPTH, source) is not None


def open_source(bed: Bed, *, paced: bool) -> FrameSource:
    """The source that a bed's configuration names, not yet opened.

    `paced` plays a file in real time; otherwise it is read as fast as possible with its own clock, which starts at 0.

    Raises:
        SourceUnavailable: the text is no known form and no file.
    """
    for form, make in _FORMS:
        if re.fullmatch(form, bed.source):
            return make(bed, paced)
    scheme = re.match(r"(\w+)://", bed.source)
    if scheme:
        raise SourceUnavailable(f"bed {bed.id}: no source for {scheme[1]}://; {_RIGHT}")
    path = Path(bed.source)
    if not path.is_file():
        raise SourceUnavailable(f"bed {bed.id}: {bed.source!r} is no file; {_RIGHT}")
    return VideoFile(bed, path, paced=paced)


_RIGHT = "give clip, clip2, picamera[:N], N or /dev/videoN, rtsp://HOST/PATH, depth:FOLDER, or the path of a video file"

"""A video file as a camera: its own timestamps, in real time or as fast as possible."""

from __future__ import annotations

import math
import os
from pathlib import Path

import cv2

from edgemon.config import Bed
from edgemon.errors import SourceLost, SourceUnavailable, SourceUndecodable
from edgemon.frames.fit import fit_bgr
from edgemon.frames.pacing import Playback
from edgemon.records import Frame

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # one clear line of ours instead of the decoder's many
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

_LOST_SHARE = 0.02  # of the announced length; containers announce it roughly


class VideoFile:
    """A video file.

    Frames up to a damage are given, then SourceLost is raised: the file is shorter than its header announces.
    With `Bed.loop` it starts again at its end; seq and time go on as if it were one recording.
    """

    live = False

    def __init__(self, bed: Bed, path: Path, *, paced: bool, name: str | None = None) -> None:
        self.bed = bed.id
        self.name = name or str(path)
        self._bed, self._path = bed, path
        self._capture: cv2.VideoCapture | None = None
        self._playback = Playback(paced=paced)

    def open(self) -> None:
        """Open the file.

        Raises:
            SourceUnavailable: there is no such file, or it may not be read.
            SourceUndecodable: there is no picture in it.
        """
        try:
            with self._path.open("rb"):
                pass
        except OSError as error:
            raise SourceUnavailable(f"{self.name}: {error.strerror}; give a readable video file") from error
        self._rewind()
        self._seq = 0
        self._playback.start()
        self._loop_s = 0.0  # where on the file's endless time line this pass began
        self._at_s = -math.inf

    def _rewind(self) -> None:
        if self._capture is not None:
            self._capture.release()
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        self._fps = capture.get(cv2.CAP_PROP_FPS)
        if not capture.isOpened() or not 0 < self._fps < 1000:
            capture.release()
            raise SourceUndecodable(f"{self.name}: no video can be read from it; give a whole MP4, MKV or AVI file")
        self._capture, self._read = capture, 0

    def read(self) -> Frame | None:
        """The next frame, when its time has come if paced; None at the end.

        Raises:
            SourceUndecodable: not one picture could be decoded.
            SourceLost: the file is truncated or damaged here.
        """
        if self._capture is None:
            return None
        ok, image = self._capture.read()
        if not ok:
            self._check_whole()
            if not self._bed.loop:
                return None
            self._loop_s = self._at_s + 1 / self._fps
            self._rewind()
            return self.read()
        shown_s = self._loop_s + self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._read and shown_s <= self._at_s:  # a container without timestamps
            shown_s = self._at_s + 1 / self._fps
        self._at_s = max(shown_s, self._at_s)
        captured_s = self._playback.wait(self._at_s)
        frame = Frame(self.bed, self._seq, captured_s, fit_bgr(image, self._bed), self.name)
        self._seq, self._read = self._seq + 1, self._read + 1
        return frame

    def _check_whole(self) -> None:
        assert self._capture is not None
        if self._read == 0:
            raise SourceUndecodable(f"{self.name}: not one picture in it can be decoded; give a whole video file")
        announced_s = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) / self._fps
        got_s = self._at_s - self._loop_s + 1 / self._fps
        if announced_s - got_s > max(2 / self._fps, _LOST_SHARE * announced_s):
            raise SourceLost(f"{self.name}: damaged after {got_s:.1f} of {announced_s:.1f} s; give a whole video file")

    def close(self) -> None:
        """Close the file."""
        self._playback.stop()
        if self._capture is not None:
            self._capture.release()
            self._capture = None

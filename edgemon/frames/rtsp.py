"""A network camera over RTSP: the newest picture, on the stream's own timestamps."""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from collections import deque
from urllib.parse import urlsplit

import cv2

from edgemon.config import Bed
from edgemon.errors import SourceLost, SourceUnavailable
from edgemon.frames.fit import fit_bgr
from edgemon.records import Frame

# Over UDP one lost packet smears the picture until the next key frame.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")


class StreamClock:
    """Puts a stream's own timestamps on the monotonic clock: the least delay seen lately is taken for none at all.

    So the jitter of the network does not enter the times, and a drift of the camera's clock is followed.
    """

    def __init__(self, window: int = 150) -> None:
        self._offsets_s: deque[float] = deque(maxlen=window)
        self._last_s = -math.inf

    def captured_s(self, stamp_s: float, arrived_s: float) -> float:
        """Monotonic seconds of a picture, from the stream's stamp and the time of arrival; never falls."""
        self._offsets_s.append(arrived_s - stamp_s)
        captured_s = min(self._offsets_s) + stamp_s
        if captured_s <= self._last_s:  # the stream's clock was set back, or does not run
            self._offsets_s = deque([arrived_s - stamp_s], self._offsets_s.maxlen)
            captured_s = max(arrived_s, self._last_s)
        self._last_s = captured_s
        return captured_s


class Rtsp:
    """A network camera at an RTSP address.

    A thread of its own empties the stream, so that what is read is the newest picture and not the oldest of a growing
    queue; a picture that was overtaken shows as a step in seq.
    """

    live = True

    def __init__(self, bed: Bed, *, open_timeout_s: float = 5.0, read_timeout_s: float = 3.0) -> None:
        self.bed = bed.id
        self.name = re.sub(r"//[^/]*@", "//", bed.source)
        self._bed = bed
        self._timeouts_ms = (
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(read_timeout_s * 1000)),
        )
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Connect, over TCP.

        Raises:
            SourceUnavailable: nothing answers there, or it gives no stream.
        """
        self.close()
        capture = cv2.VideoCapture(self._bed.source, cv2.CAP_FFMPEG, self._timeouts_ms)
        if not capture.isOpened():
            capture.release()
            raise SourceUnavailable(f"{self.name}: {self._why_not()}")
        self._newest: Frame | None = None
        self._closing = self._ended = False
        self._thread = threading.Thread(target=self._drain, args=(capture,), name=f"rtsp {self.bed}", daemon=True)
        self._thread.start()

    def _why_not(self) -> str:
        url = urlsplit(self._bed.source)
        try:
            with socket.create_connection((url.hostname or "", url.port or 554), timeout=2.0):
                return "answers but gives no stream; check the path, the user and the password"
        except (OSError, ValueError):
            return "nothing answers there; check that the camera is on, its address and the port"

    def _drain(self, capture: cv2.VideoCapture) -> None:
        clock, seq = StreamClock(), 0
        try:
            while not self._closing:
                ok, image = capture.read()
                if not ok:
                    break
                captured_s = clock.captured_s(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, time.monotonic())
                frame = Frame(self.bed, seq, captured_s, fit_bgr(image, self._bed), self.name)
                seq += 1
                with self._news:
                    self._newest = frame
                    self._news.notify_all()
        finally:
            capture.release()
            with self._news:
                self._ended = True
                self._news.notify_all()

    def read(self) -> Frame | None:
        """The newest picture not yet read; blocks until there is one.

        Raises:
            SourceLost: the stream ended or fell silent.
        """
        if self._thread is None:
            return None
        with self._news:
            self._news.wait_for(lambda: self._newest is not None or self._ended)
            frame, self._newest = self._newest, None
        if frame is None:
            raise SourceLost(f"{self.name}: the stream ended or fell silent; check the camera and the network")
        return frame

    def close(self) -> None:
        """Disconnect and join the thread, which may take as long as the read time-out."""
        if self._thread is not None:
            self._closing = True
            self._thread.join()
            self._thread = self._newest = None

"""A USB camera through Video4Linux2."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed
from edgemon.errors import SourceLost, SourceUnavailable
from edgemon.frames.fit import fit_bgr, sensor_size_px
from edgemon.records import Frame

if TYPE_CHECKING:
    from cv2.typing import MatLike

log = logging.getLogger(__name__)

_DELAY_MAX_S = 2.0  # a driver's stamp further from now than this is on another clock


def open_device(number: int) -> cv2.VideoCapture:
    """The camera /dev/videoN.

    Raises:
        SourceUnavailable: it is not there, may not be used, or is in use.
    """
    path = Path(f"/dev/video{number}")
    if not path.exists():
        there = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
        raise SourceUnavailable(f"{path}: no such camera; plugged in: {there}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceUnavailable(f"{path}: not allowed; add this user to the group video and log in again")
    device = cv2.VideoCapture(number, cv2.CAP_V4L2)
    if not device.isOpened():
        device.release()
        raise SourceUnavailable(f"{path}: in use, or not a camera; stop the other program or give another number")
    return device


class V4l2:
    """A USB camera; the newest picture, since the driver is asked to keep only one."""

    live = True

    def __init__(self, bed: Bed, *, opener: Callable[[int], cv2.VideoCapture] = open_device) -> None:
        self.bed = bed.id
        self._number = int(re.sub(r"\D", "", bed.source))
        self.name = f"/dev/video{self._number}"
        self._bed, self._opener = bed, opener
        self._device: cv2.VideoCapture | None = None

    def open(self) -> None:
        """Open the camera, and ask for its format, size and rate.

        Raises:
            SourceUnavailable: it is not there, may not be used, or is in use.
        """
        self.close()
        device = self._device = self._opener(self._number)
        size = sensor_size_px(self._bed)
        self._choose(device)
        device.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        device.set(cv2.CAP_PROP_FPS, self._bed.fps)
        device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        real = (int(device.get(cv2.CAP_PROP_FRAME_WIDTH)), int(device.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        if real != size:
            log.warning("%s gives %dx%d, not %dx%d; it is scaled", self.name, *real, *size)
        self._seq, self._captured_s = 0, 0.0

    def _choose(self, device: cv2.VideoCapture) -> None:
        """Ask for motion JPEG, which lets USB 2 carry 640x480 at 30 fps."""
        device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))

    def _picture(self, image: MatLike) -> NDArray[np.uint8] | NDArray[np.uint16]:
        return fit_bgr(image, self._bed)

    def read(self) -> Frame | None:
        """The next picture.

        Raises:
            SourceLost: the camera was unplugged or stopped sending.
        """
        if self._device is None:
            return None
        ok, image = self._device.read()
        if not ok:
            raise SourceLost(f"{self.name}: gives no picture any more; check the cable and the power")
        now_s, stamp_s = time.monotonic(), self._device.get(cv2.CAP_PROP_POS_MSEC) / 1000
        captured_s = stamp_s if 0 <= now_s - stamp_s < _DELAY_MAX_S else now_s
        self._captured_s = max(captured_s, self._captured_s)
        frame = Frame(self.bed, self._seq, self._captured_s, self._picture(image), self.name)
        self._seq += 1
        return frame

    def close(self) -> None:
        """Give the camera back."""
        if self._device is not None:
            self._device.release()
            self._device = None

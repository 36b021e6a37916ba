"""The Raspberry Pi's camera, through picamera2."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed
from edgemon.errors import SourceLost, SourceUnavailable
from edgemon.frames.fit import fit, sensor_size_px
from edgemon.records import Frame

if TYPE_CHECKING:
    from picamera2 import CompletedRequest, Picamera2

_REMEDY = "run 'sudo apt install python3-picamera2' and make the virtual environment with --system-site-packages"


class PiCamera:
    """A camera on the Pi's ribbon cable; the image processor scales, and the sensor's clock gives the times."""

    live = True

    def __init__(self, bed: Bed, *, wait_s: float = 2.0) -> None:
        self.bed = bed.id
        self._number = int(bed.source.partition(":")[2] or 0)
        self.name = f"picamera:{self._number}"
        self._bed, self._wait_s = bed, wait_s
        self._camera: Picamera2 | None = None

    def open(self) -> None:
        """Open, configure and start the camera.

        Raises:
            SourceUnavailable: picamera2 is not installed, or there is no such camera, or it is in use.
        """
        self.close()
        try:
            import libcamera  # noqa: PLC0415
            import picamera2  # noqa: F401, PLC0415
        except (ImportError, ValueError) as error:  # ValueError: built for another numpy
            raise SourceUnavailable(f"{self.name}: picamera2 cannot be imported ({error}); {_REMEDY}") from error
        try:
            self._camera = _acquire(self._number)
            self._start(self._camera, libcamera.ColorSpace.Smpte170m())
        except (RuntimeError, OSError, IndexError) as error:
            self.close()
            remedy = "check the ribbon cable, 'rpicam-hello --list-cameras', and that no other program uses it"
            raise SourceUnavailable(f"{self.name}: {error.__cause__ or error}; {remedy}") from error
        self._seq, self._captured_s = 0, 0.0

    def _start(self, camera: Picamera2, bt601: object) -> None:
        size = sensor_size_px(self._bed)
        native = camera.sensor_resolution
        frame_us = round(1e6 / self._bed.fps)
        camera.configure(
            camera.create_video_configuration(
                main={"size": size, "format": "YUV420"},
                lores={"size": size, "format": "YUV420"},
                # Half the sensor's size is its binned mode; smaller ones see only the middle of the field.
                raw={"size": (native[0] // 2, native[1] // 2)},
                colour_space=bt601,  # the matrix that OpenCV's conversion assumes
                buffer_count=4,
                queue=True,
                controls={"FrameDurationLimits": (frame_us, frame_us)},
                display=None,
                encode=None,
            )
        )
        camera.start()

    def read(self) -> Frame | None:
        """The next picture; its buffer is handed back before this returns.

        Raises:
            SourceLost: the camera sent no picture within `wait_s`.
        """
        if self._camera is None:
            return None
        try:
            with self._camera.captured_request(wait=self._wait_s) as request:
                sensor_ns = request.get_metadata().get("SensorTimestamp")
                image = _rgb(request)
        except TimeoutError as error:
            raise SourceLost(f"{self.name}: no picture for {self._wait_s:g} s; check the ribbon cable") from error
        except RuntimeError as error:
            raise SourceLost(f"{self.name}: {error}; check the ribbon cable") from error
        captured_s = time.monotonic() if sensor_ns is None else sensor_ns / 1e9
        self._captured_s = max(captured_s, self._captured_s)
        frame = Frame(self.bed, self._seq, self._captured_s, fit(image, self._bed), self.name)
        self._seq += 1
        return frame

    def close(self) -> None:
        """Stop the camera and give it back; a picture still waited for is given up."""
        if self._camera is not None:
            camera, self._camera = self._camera, None
            camera.cancel_all_and_flush()
            camera.close()


def _acquire(number: int) -> Picamera2:
    from picamera2 import Picamera2  # noqa: PLC0415

    # A constructor that fails leaves its pipe open; tried again for a night, that would use up all file descriptors.
    camera = Picamera2.__new__(Picamera2)
    try:
        camera.__init__(number)
    except RuntimeError:
        camera.notifymeread.close()
        os.close(camera.notifyme_w)
        raise
    return camera


def _rgb(request: CompletedRequest) -> NDArray[np.uint8]:
    from picamera2 import MappedArray  # noqa: PLC0415

    width, height = request.config["lores"]["size"]
    with MappedArray(request, "lores", write=False) as mapped:
        planes = mapped.array  # (height * 3 / 2, stride): Y, then U and V at half the stride
        rgb = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)
        del planes
    return np.ascontiguousarray(rgb[:height, :width])

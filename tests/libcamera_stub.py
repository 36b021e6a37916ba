"""A libcamera of one camera in pure Python, so that the real picamera2 runs on any machine.

It knows what picamera2 0.3.38 asks of it for a YUV420 video configuration. The camera completes a queued request as
soon as its picture is asked for, so a buffer that is not handed back stops it, as it does on a Pi.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import types
from dataclasses import dataclass, field
from enum import Enum, auto
from unittest import mock

import numpy as np
import pytest

STRIDE_OF = 64  # rows are padded to this many bytes
FRAME_NS = 33_333_333
RED_YUV = (82, 90, 240)  # BT.601, studio range


class Named(str):
    """A control, property or pixel format: known by its name."""

    type = None

    @property
    def name(self) -> str:
        return str(self)


@dataclass(unsafe_hash=True)
class Size:
    width: int
    height: int


@dataclass(unsafe_hash=True)
class Rectangle:
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0


@dataclass(unsafe_hash=True)
class Transform:
    hflip: int = 0
    vflip: int = 0
    transpose: int = 0

    def __str__(self) -> str:  # picamera2 takes it for __repr__
        return f"Transform({self.hflip}, {self.vflip}, {self.transpose})"


class Orientation(Enum):
    Rotate0 = auto()
    Rotate0Mirror = auto()
    Rotate180 = auto()
    Rotate180Mirror = auto()
    Rotate90 = auto()
    Rotate90Mirror = auto()
    Rotate270 = auto()
    Rotate270Mirror = auto()


class ColorSpace:
    def __init__(self, name: str) -> None:
        self.primaries = self.transferFunction = self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, name: str) -> object:
        return staticmethod(lambda: cls(name))


for _name in ("Sycc", "Smpte170m", "Rec709", "Raw"):
    setattr(ColorSpace, _name, ColorSpace.of(_name))


@dataclass(eq=False)
class Stream:
    configuration: object = None


@dataclass(eq=False)
class StreamConfig:
    size: Size = field(default_factory=lambda: Size(640, 480))
    pixel_format: str = "YUV420"
    stride: int = 0
    frame_size: int = 0
    buffer_count: int = 4
    color_space: object = None
    stream: Stream = field(default_factory=Stream)
    formats: object = None


class CameraConfiguration:
    class Status(Enum):
        Valid = auto()
        Adjusted = auto()
        Invalid = auto()

    def __init__(self, count: int) -> None:
        self._streams = [StreamConfig() for _ in range(count)]
        modes = {Named("SRGGB10"): [Size(640, 480), Size(1640, 1232), Size(3280, 2464)]}
        for stream in self._streams:
            stream.formats = types.SimpleNamespace(pixel_formats=list(modes), sizes=modes.__getitem__)
        self.orientation = Orientation.Rotate0
        self.sensor_config = None

    def at(self, index: int) -> StreamConfig:
        return self._streams[index]

    def __iter__(self):
        return iter(self._streams)

    def validate(self) -> Status:
        for stream in self._streams:
            width, height = stream.size.width, stream.size.height
            stream.stride = -(-width // STRIDE_OF) * STRIDE_OF
            stream.frame_size = stream.stride * height * 3 // 2
        return self.Status.Adjusted


class FrameBuffer:
    class Plane:
        fd = offset = length = 0

    def __init__(self, planes: list[Plane]) -> None:
        self.planes = planes
        self.metadata = types.SimpleNamespace(status=FrameMetadata.Status.Success)


class FrameMetadata:
    class Status(Enum):
        Success = auto()


class Request:
    class Status(Enum):
        Complete = auto()

    def __init__(self, cookie: int) -> None:
        self.cookie, self.buffers, self.metadata = cookie, {}, {}
        self.status = self.Status.Complete

    def add_buffer(self, stream: Stream, buffer: FrameBuffer) -> None:
        self.buffers[stream] = buffer

    def reuse(self) -> None:
        self.metadata = {}

    def set_control(self, control: object, value: object) -> None:
        pass


class Camera:
    """One camera; `silent` makes it stop sending, `busy` makes it refuse to be acquired."""

    id = "/base/stub"

    def __init__(self, manager: CameraManager) -> None:
        self.manager = manager
        self.silent = self.busy = False
        self.properties = {Named("Model"): "stub", Named("ColorFilterArrangement"): 0}
        self.controls = {
            Named(n): types.SimpleNamespace(min=0, max=1, default=0)
            for n in ("FrameDurationLimits", "NoiseReductionMode")
        }
        self.config = CameraConfiguration(0)
        self.started_with: dict[str, object] = {}
        self.queued: list[Request] = []
        self.frames = 0

    def acquire(self) -> None:
        if self.busy:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")

    def release(self) -> None:
        self.queued = []

    def generate_configuration(self, roles: list[object]) -> CameraConfiguration:
        return CameraConfiguration(len(roles))

    def configure(self, config: CameraConfiguration) -> int:
        self.config = config
        return 0

    def start(self, controls: dict[str, object]) -> None:
        self.started_with = {str(k): v for k, v in controls.items()}

    def stop(self) -> None:
        self.queued = []

    def create_request(self, cookie: int) -> Request:
        return Request(cookie)

    def queue_request(self, request: Request) -> None:
        self.queued.append(request)
        if not self.silent:
            self.manager.complete(self)


class CameraManager:
    """Completes requests at once, in order, with a red picture and the sensor's time."""

    def __init__(self) -> None:
        self.cameras = [Camera(self)]
        self.event_fd, self._wake = os.pipe2(os.O_NONBLOCK)
        self._ready: list[Request] = []
        self._lock = threading.Lock()

    def complete(self, camera: Camera) -> None:
        with self._lock:
            request = camera.queued.pop(0)
            camera.frames += 1
            request.metadata = {Named("SensorTimestamp"): camera.frames * FRAME_NS}
            for config in camera.config:
                if config.stream in request.buffers:
                    paint(request.buffers[config.stream], config)
            self._ready.append(request)
        os.write(self._wake, b"x")

    def get_ready_requests(self) -> list[Request]:
        with self._lock:
            with contextlib.suppress(BlockingIOError):
                os.read(self.event_fd, 4096)
            ready, self._ready = self._ready, []
            return ready

    def close(self) -> None:
        os.close(self.event_fd)
        os.close(self._wake)


def paint(buffer: FrameBuffer, config: StreamConfig) -> None:
    """Red, with padding of another colour that must not be seen."""
    width, height, stride = config.size.width, config.size.height, config.stride
    picture = np.full((height * 3 // 2, stride), 255, np.uint8)
    picture[:height, :width] = RED_YUV[0]
    chroma = picture[height:].reshape(2, height // 2, stride // 2)
    chroma[0, :, : width // 2], chroma[1, :, : width // 2] = RED_YUV[1], RED_YUV[2]
    os.pwrite(buffer.planes[0].fd, picture.tobytes(), 0)


class MemoryHeap:
    """The DMA heap, in ordinary memory."""

    def alloc(self, name: str, size: int) -> types.SimpleNamespace:
        fd = os.memfd_create(name)
        os.ftruncate(fd, size)
        return types.SimpleNamespace(get=lambda: fd, isValid=lambda: True)

    def close(self) -> None:
        pass


def install(monkeypatch: pytest.MonkeyPatch) -> Camera:
    """Put this libcamera under the installed picamera2, and give its only camera."""
    pytest.importorskip("videodev2", reason="needs picamera2 and videodev2: pip install --no-deps picamera2 videodev2")
    manager = CameraManager()
    here = sys.modules[__name__]
    here.controls, here.properties = mock.MagicMock(), mock.MagicMock()
    for name in ("libcamera", "libcamera._libcamera"):
        monkeypatch.setitem(sys.modules, name, here)
    for name in [*UNUSED, *(m for m in sys.modules if m.split(".")[0] == "picamera2")]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in UNUSED:
        monkeypatch.setitem(sys.modules, name, mock.MagicMock())
    monkeypatch.setattr(CameraManager, "singleton", staticmethod(lambda: manager), raising=False)
    pytest.importorskip("picamera2", reason="needs picamera2: pip install --no-deps picamera2 videodev2")
    from picamera2.allocators import dmaallocator

    monkeypatch.setattr(dmaallocator, "DmaHeap", MemoryHeap)
    monkeypatch.setattr(dmaallocator, "fcntl", types.SimpleNamespace(ioctl=lambda *_: 0))
    return manager.cameras[0]


UNUSED = ("pykms", "kms", "pidng", "pidng.camdefs", "pidng.core", "piexif", "simplejpeg", "prctl", "PIL", "PIL.Image")
_libcamera = sys.modules[__name__]
ControlType = types.SimpleNamespace(Rectangle="Rectangle", Size="Size")
PixelFormat = Named
StreamRole = mock.MagicMock()


class SensorConfiguration:
    bit_depth = 0
    output_size = Size(0, 0)

"""Depth cameras: a recording as a folder of 16-bit PNG files, and a camera through Video4Linux2."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed
from edgemon.errors import SourceError, SourceLost, SourceUnavailable, SourceUndecodable
from edgemon.frames.fit import fit_depth
from edgemon.frames.pacing import Playback
from edgemon.frames.v4l2 import V4l2
from edgemon.records import Frame

if TYPE_CHECKING:
    from cv2.typing import MatLike

FORM: Final = r"depth:.+"
ENDING: Final = ".depth.png"  # where a folder holds such files, its other pictures are left out
FORMATS: Final = ("Z16 ", "Y16 ")  # 16 bits a pixel, as V4L2 names them: depth, and grey that many cameras call it


def open_depth(bed: Bed, paced: bool) -> DepthFolder | DepthCamera:
    """The source of depth that `bed.source` names, not yet opened.

    Raises:
        SourceUnavailable: the text names neither a folder nor /dev/videoN.
    """
    where = bed.source.partition(":")[2]
    if re.fullmatch(r"/dev/video\d+", where):
        return DepthCamera(bed)
    if not Path(where).is_dir():
        raise SourceUnavailable(
            f"bed {bed.id}: {where!r} is no folder; give depth:FOLDER of 16-bit PNG files, or depth:/dev/videoN"
        )
    return DepthFolder(bed, Path(where), paced=paced)


class DepthFolder:
    """A folder of 16-bit single-channel PNG files of one size, in millimetres, 0 where there is no depth.

    So recorders of depth cameras write them, and `python -m export synthesize images --view body`. They are shown in
    the order of their names, whose numbers count as numbers, `bed.fps` a second. With `Bed.loop` it starts again at its
    end; seq and time go on as if it were one recording.
    """

    live = False

    def __init__(self, bed: Bed, folder: Path, *, paced: bool) -> None:
        self.bed = bed.id
        self.name = f"depth:{folder}"
        self._bed, self._folder = bed, folder
        self._playback = Playback(paced=paced)
        self._paths: tuple[Path, ...] = ()

    def open(self) -> None:
        """Find the files and look at the first.

        Raises:
            SourceUnavailable: there is no such folder, or it may not be read.
            SourceUndecodable: it holds no PNG file, or the first is none of depth.
        """
        self.close()
        try:
            found = [path for path in self._folder.iterdir() if path.name.endswith(".png")]
        except OSError as error:
            raise SourceUnavailable(f"{self.name}: {error.strerror}; give a readable folder") from error
        chosen = [path for path in found if path.name.endswith(ENDING)] or found
        if not chosen:
            raise SourceUndecodable(f"{self.name}: holds no PNG file; give a folder of 16-bit depth pictures")
        first = min(chosen, key=_numbered)
        self._shape = _read(first, SourceUndecodable).shape
        self._paths = tuple(sorted(chosen, key=_numbered))
        self._seq = 0
        self._playback.start()

    def read(self) -> Frame | None:
        """The next frame, when its time has come if paced; None at the end.

        Raises:
            SourceLost: a file cannot be read, is damaged, or is of another kind or size than the first.
        """
        if not self._paths or (self._seq >= len(self._paths) and not self._bed.loop):
            return None
        path = self._paths[self._seq % len(self._paths)]
        depth_mm = _read(path, SourceLost)
        if depth_mm.shape != self._shape:
            (height, width), (first_height, first_width) = depth_mm.shape, self._shape
            raise SourceLost(
                f"{path}: is {width}x{height} px, but the first is {first_width}x{first_height};"
                " give one recording a folder"
            )
        captured_s = self._playback.wait(self._seq / self._bed.fps)
        frame = Frame(self.bed, self._seq, captured_s, fit_depth(depth_mm, self._bed), self.name)
        self._seq += 1
        return frame

    def close(self) -> None:
        """Wait no longer, and forget the files."""
        self._playback.stop()
        self._paths = ()


def _numbered(path: Path) -> tuple[list[str], list[int], str]:
    """A key that sorts 9 before 10, among names of one form."""
    return re.split(r"\d+", path.name), [int(digits) for digits in re.findall(r"\d+", path.name)], path.name


def _read(path: Path, failure: type[SourceError]) -> NDArray[np.uint16]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise failure(f"{path}: {error.strerror}; give readable files") from error
    # OpenCV fills up what is missing of a file that was cut off
    whole = data.startswith(b"\x89PNG") and b"IEND" in data[-16:]
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if image is None:
        raise failure(f"{path}: no whole PNG file; give 16-bit depth in millimetres")
    if image.dtype != np.uint16 or image.ndim != 2:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise failure(
            f"{path}: has {8 * image.dtype.itemsize} bits and {channels} channels; give 16 bits and one: millimetres"
        )
    return np.asarray(image, np.uint16)


class DepthCamera(V4l2):
    """A depth camera whose driver gives 16 bits a pixel (Z16 or Y16) in millimetres, as most do by default.

    Tested against a stand-in for OpenCV's device only, for want of such a camera: that a driver names its format so,
    that OpenCV hands it over without conversion, and the camera's unit are to be seen with the camera at hand.
    """

    def _choose(self, device: cv2.VideoCapture) -> None:
        """Ask for depth as the sensor gives it.

        Raises:
            SourceUnavailable: the camera gives another format.
        """
        device.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        for name in FORMATS:
            device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*name))
            given = int(device.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1")
            if given == name:
                return
        self.close()
        raise SourceUnavailable(f"{self.name}: gives {given!r}, no depth; give the depth camera's own /dev/videoN")

    def _picture(self, image: MatLike) -> NDArray[np.uint16]:
        """Depth upright and of the configured size.

        Raises:
            SourceLost: what came is not 16 bits for each pixel.
        """
        raw = np.asarray(image)
        if raw.dtype == np.uint8 and self._device is not None:  # not unpacked: the bytes as they came, low ones first
            width = int(self._device.get(cv2.CAP_PROP_FRAME_WIDTH))
            height = int(self._device.get(cv2.CAP_PROP_FRAME_HEIGHT))
            if raw.size == 2 * width * height:
                raw = np.ascontiguousarray(raw).view("<u2").reshape(height, width)
        if raw.dtype != np.uint16 or raw.ndim != 2:
            raise SourceLost(f"{self.name}: gave {raw.dtype} {raw.shape}, no depth; give a camera of 16 bits a pixel")
        return fit_depth(np.asarray(raw, np.uint16), self._bed)

"""Rendered frames as files: lossless, then H.264 that spends its bits on the pulse, or of one quality throughout."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

# No psychovisual tricks, hardly a dead zone and fine chroma: all else erases changes of half a grey level.
X264 = (
    "psy=0:deadzone-inter=2:deadzone-intra=2:no-dct-decimate=1:aq-mode=1:aq-strength=0.3:chroma-qp-offset=-6:qcomp=1.0"
)
EVEN_CRF = 14
FFMPEG = ("ffmpeg", "-y", "-hide_banner", "-loglevel", "error")


def write_lossless(frames: Iterable[NDArray[np.uint8]], path: Path, *, size: tuple[int, int], fps: int) -> None:
    """RGB frames (H, W, 3) as lossless H.264 RGB; `size` is (width, height)."""
    command = [*FFMPEG, "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-"]
    command += ["-c:v", "libx264rgb", "-qp", "0", "-preset", "ultrafast", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for frame in frames:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
        if process.wait() != 0:
            raise RuntimeError(f"{path}: ffmpeg ended with {process.returncode}")


def encode_evenly(lossless: Path, out: Path) -> None:
    """A constant and high quality, whatever it takes."""
    _run(["-i", str(lossless), "-vf", "format=yuv420p", *_h264("-crf", f"{EVEN_CRF}"), str(out)])


def encode_for_pulse(
    lossless: Path,
    out: Path,
    *,
    kilobits: float,
    size: tuple[int, int],
    region: tuple[int, int, int, int],
    zones: str,
) -> None:
    """Two passes that spend their bits on a region (x, y, width, height) and on x264's `zones` of frames."""
    x, y, width, height = region
    filters = f"addroi={x}:{y}:{width}:{height}:-0.4,addroi=0:0:{size[0]}:{size[1]}:0.3,format=yuv420p"
    settings = f"{X264}:zones={zones}" if zones else X264
    common = ["-vf", filters, *_h264("-b:v", f"{kilobits:.0f}k"), "-g", "300", "-an"]
    with TemporaryDirectory() as folder:
        passes = ["-x264-params", settings, "-passlogfile", str(Path(folder) / "pass")]
        _run(["-i", str(lossless), *common, *passes, "-pass", "1", "-f", "null", "-"])
        _run(["-i", str(lossless), *common, *passes, "-pass", "2", "-movflags", "+faststart", str(out)])


def _h264(*quality: str) -> list[str]:
    return ["-c:v", "libx264", "-preset", "medium", *quality]


def _run(arguments: list[str]) -> None:
    subprocess.run([*FFMPEG, *arguments], check=True)

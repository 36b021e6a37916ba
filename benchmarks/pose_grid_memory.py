"""What a fresh process needs to look at n pictures with a pose network, printed in MiB: growth of its peak memory.

    python benchmarks/pose_grid_memory.py FOLDER NAME single|batch|grid N PICTURE_WIDTH PICTURE_HEIGHT

From before the model is opened until it has looked a few times, by Linux's VmHWM: ru_maxrss begins at the peak of the
process that started this one. The pictures are noise: what they show needs no memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import numpy as np

from edgemon.inference import Model
from edgemon.observations.pose_network import Mode, PoseNetwork
from edgemon.records import Frame

LOOKS = 4


def peak_mib() -> float:
    """Of this process so far."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return int(told.split("VmHWM:")[1].split()[0]) / 1024


def main(folder: str, name: str, mode: str, *numbers: str) -> None:
    """Print the growth."""
    count, width, height = map(int, numbers)
    rng, frames = np.random.default_rng(0), []
    before_mib = peak_mib()
    model = Model.open(Path(folder), name)
    depth = model.manifest.input.colour == "depth"
    for number in range(count):
        noise = rng.integers(400, 1500, (height, width)).astype(np.uint16)
        image = noise if depth else np.repeat((noise >> 3).astype(np.uint8)[..., None], 3, axis=2)
        frames.append(Frame("cot", number, float(number), image, "noise"))
    network = PoseNetwork(model, cast(Mode, mode))
    for _ in range(LOOKS):
        network.read(frames)
    print(round(peak_mib() - before_mib, 2))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Upright faces of a folder of renders, decoded once into one memory-mapped array, wide enough to be moved about in."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgemon.inference import FACE_MARGIN, aligned_crop, roll_deg
from edgemon.records import Box
from export.datasets import Image, Renders

SIDE_PX, INNER_PX = 160, 112  # a crop of the device is the inner part
_MARGIN = ((1 + 2 * FACE_MARGIN) * SIDE_PX / INNER_PX - 1) / 2
Points = NDArray[np.float32]


class Crops:
    """The faces of a folder, kept beside it as crops_160.npy (77 kB a face) for as long as it stays the same."""

    def __init__(self, folder: Path) -> None:
        self.renders = Renders(folder)
        self.rows: list[dict[str, Any]] = [row for row in self.renders.rows if row["face_box"] is not None]
        if not self.rows:
            raise ValueError(f"{folder}: no picture has a face")
        self.state = self._state()
        self._rgb = self._kept(folder / f"crops_{SIDE_PX}.npy")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Image, Box, Points]:
        """RGB (160, 160, 3), and the face's box and landmarks in it."""
        points = np.array(self.rows[index]["landmarks"], np.float64)
        x0, y0, x1, y1 = self.rows[index]["face_box"]
        scale = SIDE_PX / (math.sqrt((x1 - x0) * (y1 - y0)) * (1 + 2 * _MARGIN))
        roll = math.radians(roll_deg(points.astype(np.float32)))
        turn = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
        middle, centre = (SIDE_PX - 1) / 2, np.array([x0 + x1, y0 + y1]) / 2
        half_x, half_y = scale * (x1 - x0) / 2, scale * (y1 - y0) / 2
        box = (middle - half_x, middle - half_y, middle + half_x, middle + half_y)
        return np.asarray(self._rgb[index]), box, ((points - centre) @ turn + middle).astype(np.float32)

    def _state(self) -> str:
        """Tells the truth and the pictures as they are from any others: pictures drawn anew may keep their truth."""
        told = hashlib.sha256((self.renders.folder / "truth.jsonl").read_bytes())
        for row in self.rows:
            path = self.renders.folder / f"{row['name']}.jpg"
            if not path.is_file():
                raise ValueError(f"{path}: missing, though the truth names it")
            picture = path.stat()
            told.update(f"{picture.st_size} {picture.st_mtime_ns}".encode())
        return told.hexdigest()

    def _kept(self, path: Path) -> NDArray[np.uint8]:
        told = path.with_suffix(".json")
        if not told.is_file() or json.loads(told.read_text(encoding="utf-8")) != {"state": self.state}:
            told.unlink(missing_ok=True)
            self._build(path)
            told.write_text(json.dumps({"state": self.state}), encoding="utf-8")
        kept: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        return kept

    def _build(self, path: Path) -> None:
        fresh = path.with_suffix(f".{os.getpid()}")
        shape = (len(self.rows), SIDE_PX, SIDE_PX, 3)
        crops = np.lib.format.open_memmap(fresh, "w+", np.uint8, shape)
        places = (index for index, row in enumerate(self.renders.rows) if row["face_box"] is not None)
        for number, index in enumerate(tqdm(places, total=len(self.rows), unit="crop", mininterval=2)):
            row = self.renders.rows[index]
            points = np.array(row["landmarks"], np.float32)
            crops[number] = aligned_crop(self.renders.rgb(index), tuple(row["face_box"]), points, SIDE_PX, _MARGIN)
        crops.flush()
        fresh.replace(path)


def still(crops: Crops, index: int) -> Image:
    """The crop that the device reads, at the truth's box and landmarks."""
    return aligned_crop(*crops[index], INNER_PX)

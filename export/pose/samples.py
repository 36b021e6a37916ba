"""A picture with every infant's joints as annotators or renderers know them: what all pose sets are read into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.depth import depth_image
from edgemon.inference import Image
from edgemon.records import KEYPOINTS, HeadSide, Posture
from export.datasets.marks import read_rgb

Kind = Literal["rgb", "depth"]
Floats = NDArray[np.float32]
JOINTS: Final = len(KEYPOINTS)


@dataclass(frozen=True, slots=True, eq=False)
class PoseSample:
    """One picture file and its infants.

    `persons` (P, 14, 3) holds x px, y px and v in the order of KEYPOINTS: v 0 not labelled, 1 labelled but covered,
    2 visible. `boxes` (P, 4) xyxy are the annotators'; where there are none, the extent of the labelled joints stands
    for them, which is smaller than a person's box and so makes OKS stricter. `posture` and `head_side` are the first
    person's. `group` holds words `name=value`, such as "cover=blanket light=dark", by which figures are told apart.
    """

    image: Path
    kind: Kind
    size: tuple[int, int]  # width, height
    persons: Floats
    subject: str
    posture: Posture | None = None
    head_side: HeadSide | None = None
    group: str = ""
    boxes: Floats | None = None

    def __post_init__(self) -> None:
        if self.persons.shape[1:] != (JOINTS, 3):
            raise ValueError(f"{self.image}: joints of shape {self.persons.shape}; (P, {JOINTS}, 3) would be right")

    @property
    def groups(self) -> tuple[str, ...]:
        """All that figures are told apart by, the posture among them."""
        posture = () if self.posture is None else (f"posture={self.posture.value}",)
        return (*posture, *self.group.split())

    def box(self, person: int) -> Floats:
        """The person's box xyxy; zeros where nobody labelled anything."""
        if self.boxes is not None:
            return np.asarray(self.boxes[person])
        joints = self.persons[person]
        places = joints[joints[:, 2] > 0, :2]
        if not places.size:
            return np.zeros(4, np.float32)
        return np.concatenate([places.min(axis=0), places.max(axis=0)]).astype(np.float32)

    def read(self) -> Image:
        """The picture as the network gets it before letterboxing: RGB uint8 (H, W, 3), of depth by `depth_image`.

        Raises:
            ValueError: it cannot be read, is no 16-bit depth, or is not of the annotated size; names the file.
        """
        picture = read_rgb(self.image) if self.kind == "rgb" else depth_image(read_depth(self.image))
        if picture.shape[1::-1] != self.size:
            raise ValueError(
                f"{self.image}: is {picture.shape[1]}x{picture.shape[0]} px, "
                f"its annotation says {self.size[0]}x{self.size[1]}; use the pictures at their original size"
            )
        return picture


def read_depth(path: Path) -> NDArray[np.uint16]:
    """Depth in mm (H, W), 0 where there is none.

    Raises:
        ValueError: not a readable 16-bit picture of one channel; names the file.
    """
    depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if depth is None:
        raise ValueError(f"{path}: not a readable picture")
    if depth.dtype != np.uint16 or depth.ndim != 2:
        raise ValueError(f"{path}: {depth.dtype} {depth.shape}; depth is 16 bit of one channel, in millimetres")
    return np.asarray(depth, np.uint16)


def size_of(path: Path, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture file, or the other size where there is no such file."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    return otherwise if picture is None else (int(picture.shape[1]), int(picture.shape[0]))

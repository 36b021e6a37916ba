"""Pictures that are nearly the same: difference hashes (dHash) of 64 bits, turned and mirrored, and what they link."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.inference import Image

TURNS_DEG = (0, -5, 5, -10, 10, -15, 15)
# On crops of 330 rendered infants 19 of 245,425 pairs of two infants are as near; of copies that were turned by up to
# 15 degrees, mirrored, blurred, zoomed by up to 10 % and brightened by up to 30 %, 77 % are.
NEAR_BITS = 6
_CHUNK, _SIDE = 256, 64
Hashes = NDArray[np.uint64]


def dhash(rgb: Image) -> Hashes:
    """Hashes of a picture, its mirror image, and both turned by each of TURNS_DEG (14,).

    A bit tells whether one of 8x8 cells is darker than its right neighbour: light, contrast, size, blur and coding
    hardly change it.
    """
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    bits = []
    for turn_deg in TURNS_DEG:
        matrix = cv2.getRotationMatrix2D(((_SIDE - 1) / 2,) * 2, turn_deg, 1.0)
        turned = cv2.warpAffine(grey, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
        small = cv2.resize(turned, (9, 8), interpolation=cv2.INTER_AREA)
        bits += [(small[:, :-1] < small[:, 1:]).ravel(), (small[:, :0:-1] < small[:, -2::-1]).ravel()]
    return np.packbits(np.stack(bits), axis=1).view(np.uint64).ravel()


def distance(one: Hashes, other: Hashes) -> NDArray[np.uint8]:
    """Bits (n, m) in which pictures (n, 14) differ from others (m, 14), these turned and mirrored as fits best."""
    best = np.bitwise_count(one[:, None, 0] ^ other[None, :, 0])
    for turned in other.T[1:]:
        np.minimum(best, np.bitwise_count(one[:, None, 0] ^ turned[None]), out=best)
    return np.asarray(best, np.uint8)


def near(hashes: Hashes, labels: NDArray[np.int64], bits: int = NEAR_BITS) -> Iterator[NDArray[np.int64]]:
    """Pairs (k, 2), i < j, of pictures (n, 14) of two labels that differ in at most so many bits, some at a time."""
    for start in range(0, len(hashes), _CHUNK):
        close = distance(hashes[start : start + _CHUNK], hashes[start:]) <= bits
        close &= labels[start : start + _CHUNK, None] != labels[None, start:]
        pairs = np.argwhere(close) + start
        yield pairs[pairs[:, 0] < pairs[:, 1]]


def linked(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups 0, 1, ... (count,) of items that pairs (k, 2) join, directly or through others."""
    root = list(range(count))

    def top(item: int) -> int:
        while root[item] != item:
            root[item] = root[root[item]]
            item = root[item]
        return item

    for one, other in pairs.tolist():
        root[top(one)] = top(other)
    return np.unique([top(item) for item in range(count)], return_inverse=True)[1].astype(np.int64)

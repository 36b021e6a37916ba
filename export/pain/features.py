"""The features of many crops, computed by the very graph that a device runs, and kept in a cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgemon.manifest import ModelInput
from export.pain import strain
from export.pain.graphs import IMAGE, session, together
from export.pain.network import DEEP, HANDCRAFTED, STRAIN, VIEWS, FaceNetwork, features
from export.pain.samples import SIDE_PX, Samples

CACHE = Path(".cache/pain")
INPUT = ModelInput(
    name=IMAGE, shape=(1, 3, SIDE_PX, SIDE_PX), colour="RGB", mean=(127.5,) * 3, scale=(1 / 127.5,) * 3
)  # as `edgemon.inference.prepare` makes it
Features = Mapping[str, NDArray[np.float32]]  # by view (n, D)


def prepared(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops (n, H, W, 3) as `edgemon.inference.prepare` makes them, (n, 3, H, W)."""
    mean, scale = np.array(INPUT.mean, np.float32), np.array(INPUT.scale, np.float32)
    return np.ascontiguousarray(((crops.astype(np.float32) - mean) * scale).transpose(0, 3, 1, 2))


def extract(network: FaceNetwork, samples: Samples, cache: Path | None = CACHE) -> Features:
    """Every view of every crop, and the strain since its calm one where there is one."""
    made = _views(network, samples, cache)
    if samples.calm is None:
        return made
    pairs = zip(samples.calm, samples.crops, strict=True)
    return {**made, STRAIN: np.stack([strain.of_pair(calm, crop) for calm, crop in pairs]).astype(np.float32)}


def _views(network: FaceNetwork, samples: Samples, cache: Path | None) -> dict[str, NDArray[np.float32]]:
    """The cache is named by the graph and the crops."""
    graph = together(features(network), INPUT.sized(), VIEWS).SerializeToString()
    path = cache / f"{hashlib.sha256(graph).hexdigest()[:16]}-{samples.digest}.npz" if cache else None
    if path is not None and path.is_file():
        with np.load(path) as kept:
            return {view: kept[view] for view in VIEWS}
    run = session(graph)
    bar = tqdm(samples.crops, desc="features", unit="face", disable=None, mininterval=5)
    rows = [[view[0] for view in run.run(list(VIEWS), {IMAGE: prepared(crop[None])})] for crop in bar]
    made = {view: np.stack([row[k] for row in rows]) for k, view in enumerate(VIEWS)}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new.npz")
        np.savez(fresh, deep=made[DEEP], handcrafted=made[HANDCRAFTED])
        fresh.replace(path)
    return made

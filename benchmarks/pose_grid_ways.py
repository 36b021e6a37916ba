"""The ways to show n cots to one pose network, what they cost, and how far a cot's neighbours disturb it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from edgemon.inference import Model
from edgemon.manifest import IMAGES, ModelFile
from edgemon.observations.pose_network import Mode, PoseNetwork, Tile, tiles
from edgemon.records import Frame, Pose
from export.datasets.marks import read_rgb
from export.pose.joints import join
from export.pose.samples import PoseSample, read_depth

Size = tuple[int, int]  # width, height in px
Answers = list[tuple[Pose, ...]]
Floats = NDArray[np.float64]
MULTIPLE_PX: Final = 32  # what width and height of the network's input are multiples of


@dataclass(frozen=True, slots=True)
class Way:
    """`size` tells the network's input from the released one's and the number of cots."""

    name: str
    mode: Mode
    size: Callable[[Size, int], Size]


def same(size_px: Size, count: int) -> Size:
    """The released network's own size, however many cots there are."""
    return size_px


def enlarged(size_px: Size, count: int) -> Size:
    """So large that each tile of a grid is as large as the released network's input."""
    side = math.ceil(math.sqrt(count))
    return size_px[0] * side, size_px[1] * side


def shrunk(size_px: Size, count: int) -> Size:
    """A tile of the grid, grown to what the network can take."""
    _, _, *tile = tiles(count, size_px)[0]
    width, height = (math.ceil(side / MULTIPLE_PX) * MULTIPLE_PX for side in tile)
    return width, height


ALONE: Final = Way("one by one", "single", same)
GRID: Final = Way("grid", "grid", same)
BATCH: Final = Way("batch", "batch", same)
SMALL_BATCH: Final = Way("batch, tile's size", "batch", shrunk)
LARGE_GRID: Final = Way("grid, full size each", "grid", enlarged)
WAYS: Final = (ALONE, BATCH, GRID, SMALL_BATCH, LARGE_GRID)


def ways(count: int) -> tuple[Way, ...]:
    """Those that differ: one cot alone is the same in all."""
    return WAYS if count > 1 else (ALONE,)


def resized(file: ModelFile, size_px: Size) -> ModelFile:
    """The same network for pictures of another size: it is convolutions and enlargements by fixed factors."""
    old = file.manifest.input.size_px
    if size_px == old:
        return file
    graph = onnx.load_from_string(file.onnx)
    del graph.graph.value_info[:]
    for value in (*graph.graph.input, *graph.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, before, after in zip(dims[2:], old[::-1], size_px[::-1], strict=True):
            dim.dim_value = dim.dim_value * after // before
    told = file.manifest.input.model_copy(update={"shape": (IMAGES, 3, size_px[1], size_px[0])})
    data = bytes(graph.SerializeToString())
    sha256 = hashlib.sha256(data).hexdigest()
    return ModelFile(file.manifest.model_copy(update={"input": told, "sha256": sha256}), data)


def unbound(file: ModelFile) -> ModelFile:
    """The same at no threshold, as AP and errors are judged."""
    none = dict.fromkeys(file.manifest.thresholds, 0.0)
    return replace(file, manifest=file.manifest.model_copy(update={"thresholds": none}))


def open_way(file: ModelFile, way: Way, count: int) -> PoseNetwork:
    """The network, ready to be shown so many cots in this way."""
    return PoseNetwork(Model(resized(file, way.size(file.manifest.input.size_px, count))), way.mode)


def multiplications(onnx_bytes: bytes, images: int) -> int:
    """Of all convolutions in one call with so many pictures, counted on the graph's shapes."""
    model = onnx.load_from_string(onnx_bytes)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = images
    for value in model.graph.output:
        value.type.tensor_type.shape.dim[0].ClearField("dim_param")
    del model.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | {weight.name: list(weight.dims) for weight in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    counts = [math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:]) for node in convolutions]
    if not counts or 0 in counts:
        raise ValueError("a graph whose convolutions have no known shapes")
    return sum(counts)


def calls(way: Way, count: int) -> tuple[int, int]:
    """How often the network is called for so many cots, and with how many pictures at once."""
    return {"single": (count, 1), "batch": (1, count), "grid": (1, 1)}[way.mode]


@dataclass(frozen=True, slots=True)
class Cots:
    """Pictures as cameras give them, with what is known of them."""

    samples: tuple[PoseSample, ...]
    frames: tuple[Frame, ...]


def cots_of(samples: Sequence[PoseSample]) -> Cots:
    """Read all pictures."""
    read = {"depth": read_depth, "rgb": read_rgb}
    frames = (Frame("cot", 0, 0.0, read[s.kind](s.image), s.image.name) for s in samples)
    return Cots(tuple(samples), tuple(frames))


@dataclass(frozen=True, slots=True)
class Shown:
    """What is told of each picture, and the place among the others at which it was shown."""

    told: list[tuple[Pose, ...]]
    places: list[int]


def show(network: PoseNetwork, frames: Sequence[Frame], count: int, seed: int) -> Shown:
    """Each picture once among count - 1 others, in a random order; those that the last lacks are the first again."""
    order = np.random.default_rng(seed).permutation(len(frames)).tolist()
    told: dict[int, tuple[tuple[Pose, ...], int]] = {}
    for begin in range(0, len(order), count):
        chosen = [order[(begin + n) % len(order)] for n in range(count)]
        for place, poses in enumerate(network.read([frames[n] for n in chosen])):
            told.setdefault(chosen[place], (poses, place))
    return Shown([told[n][0] for n in range(len(frames))], [told[n][1] for n in range(len(frames))])


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """What changes when all neighbours of an infant do.

    `trunks` (N, 14): how far its joints move, in trunk lengths, NaN where they are not labelled. `appeared`: share of
    infants that are told with one set of neighbours alone; `turned`: share whose likeliest posture changes.
    """

    trunks: Floats
    appeared: float
    turned: float


Beside = Callable[[int, int], int]  # turn of the target, place: which picture lies there


def crosstalk(
    network: PoseNetwork,
    cots: Cots,
    neighbours: Mapping[str, Beside],
    targets: Sequence[int],
    *,
    count: int,
    centre_from: float,
) -> dict[str, Moves]:
    """Show each target, a picture of one infant, in one place with several sets of neighbours; the first against each.

    The network is without thresholds; `centre_from` is the released one, from which an infant is told.
    """

    def amid(beside: Beside, turn: int, target: int) -> tuple[Pose, ...]:
        place = turn % count
        shown = [target if n == place else beside(turn, n) for n in range(count)]
        return network.read([cots.frames[n] for n in shown])[place]

    told = {name: [amid(beside, *each) for each in enumerate(targets)] for name, beside in neighbours.items()}
    (_, first), *others = told.items()
    chosen = [cots.samples[n] for n in targets]
    return {name: _moves(chosen, first, other, centre_from) for name, other in others}


def _moves(samples: Sequence[PoseSample], first: Answers, other: Answers, centre_from: float) -> Moves:
    before, after = join(samples, first), join(samples, other)
    apart_px = np.linalg.norm(before.told[..., :2] - after.told[..., :2], axis=2)
    labelled = before.truth[..., 2] > 0
    pairs = [(a[0], b[0]) for a, b in zip(first, other, strict=True) if a and b]
    return Moves(
        np.where(labelled, apart_px / before.trunk_px[:, None], np.nan),
        float(np.mean([(a.score >= centre_from) != (b.score >= centre_from) for a, b in pairs])),
        float(np.mean([a.posture != b.posture for a, b in pairs])),
    )


def strays(cots: Cots, shown: Shown, places: Sequence[Tile]) -> tuple[float, float]:
    """The share of infants of whom a joint that lies in the picture is told beyond it, and told in another's tile.

    `places` are those of a grid, or none where there is none.
    """
    beyond, astray = [], []
    for sample, poses, place in zip(cots.samples, shown.told, shown.places, strict=True):
        if len(sample.persons) != 1 or not poses:
            continue
        told = poses[0].keypoints[sample.persons[0, :, 2] > 0, :2]
        beyond.append(not _within(told, (0, 0, *sample.size)).all())
        if places:
            left, top, width, height = places[place]
            on_grid = told * min(width / sample.size[0], height / sample.size[1]) + (left, top)
            astray.append(any(_within(on_grid, tile).any() for n, tile in enumerate(places) if n != place))
    return float(np.mean(beyond)), float(np.mean(astray)) if places else 0.0


def _within(points: NDArray[np.floating], box: Tile) -> NDArray[np.bool_]:
    low = np.array(box[:2])
    return np.asarray(((points >= low) & (points < low + box[2:])).all(axis=1))

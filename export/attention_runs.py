"""The networks of the attention ablation, and one run of it: so many steps on the same crops, then read unseen ones."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from export import metrics
from export.attention import DR_EHA, NO_ATTENTION, Attention
from export.augment import Painter
from export.babyehanet import TARGETS, BabyEHANet, ExpressionConfig
from export.crops import INNER_PX, Crops, still
from export.datasets import Image
from export.expression_data import JUDGED, ExpressionCrops, Labels, of_crops, spoiled
from export.published_babyehanet import BEFORE_POOLING, PublishedBabyEHANet, PublishedConfig
from export.recipes import CROP_MEAN, CROP_SCALE, expression_losses
from export.train import Averaged, rate

BATCH, PEAK_LR, WEIGHT_DECAY = 64, 2.5e-3, 1e-3
SETTLING_BATCHES = 12
JUDGE_SEED = 21
AUCS = ("still", "spoiled")
Config = ExpressionConfig | PublishedConfig
Batch = tuple[Tensor, ...]

GATES: Mapping[str, Attention] = {
    "none": NO_ATTENTION,
    "channel": Attention(spatial=False, residual=False),
    "channel-residual": Attention(spatial=False),
    "spatial": Attention(channel=False, residual=False),
    "spatial-residual": Attention(channel=False),
    "both": Attention(residual=False),
    "both-residual": DR_EHA,
}
OPEN: Mapping[str, PublishedConfig] = {  # what the source leaves open, one by one
    "before-pooling": PublishedConfig(places=BEFORE_POOLING),
    "perceptron-8": PublishedConfig(Attention(reduction=8)),
    "perceptron-16": PublishedConfig(Attention(reduction=16)),
    "kernel-3": PublishedConfig(Attention(kernel_px=3)),
    "no-squeeze": PublishedConfig(squeeze=False),
    "224px": PublishedConfig(size_px=224),
}
VARIANTS: Mapping[str, Mapping[str, Config]] = {
    "light": {name: ExpressionConfig(attention=gates) for name, gates in GATES.items()},
    "published": {**{name: PublishedConfig(gates) for name, gates in GATES.items()}, **OPEN},
}


def build(config: Config) -> nn.Module:
    """The network as initialised."""
    return BabyEHANet(config) if isinstance(config, ExpressionConfig) else PublishedBabyEHANet(config)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run; of one seed all see the same crops in the same order, and what they share starts from equal weights."""

    config: Config
    steps: int
    seed: int
    batch: int = BATCH
    pretrained: int = 0  # steps behind the state that it starts from

    def network(self, start: Mapping[str, Tensor] | None = None) -> nn.Module:
        """As it starts: layers shared with the network without attention are that one's, as initialised or `start`.

        Without squeeze-and-excite the projections have other names, and start as initialised.
        """
        plain = ExpressionConfig if isinstance(self.config, ExpressionConfig) else PublishedConfig
        torch.manual_seed(self.seed)
        shared = build(plain(attention=NO_ATTENTION)).state_dict()
        network = build(self.config)
        network.load_state_dict(shared if start is None else start, strict=False)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network


@dataclass(frozen=True, slots=True)
class Score:
    """AUC by target of crops as they are and as a cot's camera spoils them; the wall-clock time of training."""

    still: Mapping[str, float]
    spoiled: Mapping[str, float]
    seconds: float

    def mean(self, kind: str) -> float:
        """Over the judged targets."""
        return float(np.mean(list(getattr(self, kind).values())))


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Crops (n, 112, 112, 3) with their labels and weights (n, 10)."""

    crops: Image
    told: Labels
    weight: Labels


def judged(crops: Crops, count: int) -> dict[str, Judged]:
    """The same faces of a set twice, evenly drawn: as they are, and spoiled."""
    chosen = np.unique(np.linspace(0, len(crops) - 1, count).round().astype(int)).tolist()
    painter = Painter(np.random.default_rng(JUDGE_SEED))
    faces = [of_crops(crops, index) for index in chosen]
    as_is = [(still(crops, index), face.told, face.weight) for index, face in zip(chosen, faces, strict=True)]
    worse = [spoiled(painter, face, INNER_PX) for face in faces]
    return {
        name: Judged(*map(np.stack, zip(*rows, strict=True))) for name, rows in zip(AUCS, (as_is, worse), strict=True)
    }


def batches(folder: Path, plan: Plan, workers: Literal[0, 1] = 1) -> Iterator[Batch]:
    """Batches without end, made here or by one other process; the seed alone decides them."""
    stream = ExpressionCrops((folder,), None, INNER_PX, plan.seed)
    for image, told, weight in DataLoader(stream, plan.batch, num_workers=workers):
        yield sized(image.float(), plan.config.size_px), told, weight


def sized(image: Tensor, size_px: int) -> Tensor:
    """The same pixels for a network of another input."""
    return image if size_px == INNER_PX else F.interpolate(image, (size_px, size_px), mode="bilinear")


def outcome_of(
    plan: Plan, stream: Iterator[Batch], sets: Mapping[str, Judged], row: Path, start: Mapping[str, Tensor] | None
) -> Score:
    """Train and read one network, or take up what an earlier call left in ROW.json.

    Raises:
        ValueError: the row is of another plan.
    """
    if row.is_file():
        kept = json.loads(row.read_text(encoding="utf-8"))
        if kept.pop("plan") != repr(plan):
            raise ValueError(f"{row}: of another plan; choose another --out")
        return Score(**kept)
    begun_s = time.monotonic()
    network = trained(plan, stream, start)
    seconds = round(time.monotonic() - begun_s, 1)
    aucs = {kind: read(network, faces, plan.config.size_px) for kind, faces in sets.items()}
    score = Score(aucs["still"], aucs["spoiled"], seconds)
    row.parent.mkdir(parents=True, exist_ok=True)
    row.write_text(json.dumps({"plan": repr(plan)} | asdict(score)), encoding="utf-8")
    return score


def trained(plan: Plan, stream: Iterator[Batch], start: Mapping[str, Tensor] | None = None) -> nn.Module:
    """By the schedule of `train expression` over steps instead of minutes; the averaged weights, evaluation mode."""
    network = plan.network(start).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0, weight_decay=WEIGHT_DECAY)
    averaged = Averaged(network)
    for number, batch in enumerate(islice(stream, plan.steps)):
        step(network, optimizer, batch, PEAK_LR * rate(number / plan.steps))
        averaged.update(network)
    network.load_state_dict(averaged.state)
    return settled(network, islice(stream, SETTLING_BATCHES))


def step(network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, lr: float) -> None:
    """One update."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(sum(expression_losses(network, batch).values(), torch.zeros(())))
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()


def settled(network: nn.Module, stream: Iterator[Batch]) -> nn.Module:
    """The statistics of batch normalisation anew: a short run leaves them behind, by how much is each network's own."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over batches
    with torch.no_grad():
        for image, *_ in stream:
            network((image - CROP_MEAN) * CROP_SCALE)
    return network.eval()


def seconds_a_step(plan: Plan, stream: Iterator[Batch], steps: int = 8) -> float:
    """Of training on cores that nothing else uses: processor time over the threads."""
    network = plan.network().train()
    optimizer = torch.optim.AdamW(network.parameters())
    for batch in islice(stream, 2):
        step(network, optimizer, batch, PEAK_LR)
    begun_s = time.process_time()
    for batch in islice(stream, steps):
        step(network, optimizer, batch, PEAK_LR)
    return (time.process_time() - begun_s) / steps / torch.get_num_threads()


def read(network: nn.Module, faces: Judged, size_px: int) -> dict[str, float]:
    """AUC by judged target; one of which a class is absent is left out."""
    scores = _logits(network, faces.crops, size_px)
    aucs = {}
    for name in JUDGED:
        column = TARGETS.index(name)
        keep = faces.weight[:, column] > 0
        told = faces.told[keep, column] > 0.5
        if told.any() and not told.all():
            aucs[name] = round(metrics.auc(scores[keep, column], told), 5)
    return aucs


def _logits(network: nn.Module, crops: Image, size_px: int) -> NDArray[np.float64]:
    rows = []
    for start in range(0, len(crops), BATCH):
        image = torch.from_numpy(crops[start : start + BATCH]).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            rows.append(network((sized(image, size_px) - CROP_MEAN) * CROP_SCALE).double().numpy())
    return np.concatenate(rows)

"""`nfd-train`: the seed's network by the seed's schedule, on frames held in memory; it goes on where it was cut off."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from export.augment import Scene
from export.datasets.own import training_scenes
from export.nfd import MODULES, PYRAMID, Network, NetworkConfig, priors
from export.nfd.frames import MEAN, SCALE, Frame, augmented, draw
from export.nfd.losses import LossConfig, Targets, losses, match

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Schedule:
    """As in section 5.1 of the paper; with other `epochs` the warm-up and the drops move in proportion."""

    epochs: int = 20
    optimizer: Literal["sgd", "adamw"] = "sgd"
    batch: int = 16
    start_lr: float = 1e-3
    peak_lr: float = 1e-2
    warm_epochs: float = 5.0
    drop_epochs: tuple[float, ...] = (10.0, 15.0)
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def lr(self, epoch: float) -> float:
        """At a fractional epoch of the run."""
        at = epoch * 20 / self.epochs
        if at < self.warm_epochs:
            return self.start_lr + (self.peak_lr - self.start_lr) * at / self.warm_epochs
        return float(self.peak_lr * 0.1 ** sum(at >= drop for drop in self.drop_epochs))


def pretraining(epochs: int) -> Schedule:
    """From random weights: AdamW, since SGD at the seed's rates needs the pre-trained network that the seed has."""
    return Schedule(epochs, "adamw", start_lr=3e-4, peak_lr=3e-3, warm_epochs=2.0, drop_epochs=(12.0, 17.0))


RECIPES: Mapping[str, Callable[[int], Schedule]] = {"seed": Schedule, "pretraining": pretraining}


@dataclass(frozen=True, slots=True)
class Plan:
    """One training run; equal plans on equal frames give equal weights."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    schedule: Schedule = field(default_factory=Schedule)
    rotation: bool = False
    seed: int = 1


class Training:
    """A plan at work; with `out` the state is kept there after every epoch and taken up again.

    `start` is a state dict to start from; it may lack the two modules.
    """

    def __init__(
        self, plan: Plan, scenes: list[Scene], out: Path | None = None, start: Mapping[str, Tensor] | None = None
    ) -> None:
        self.plan, self.scenes, self.out = plan, scenes, out
        torch.manual_seed(plan.seed)
        self.network = Network(plan.network)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            self._start_from(start)
        self.optimizer = _optimizer(plan.schedule, self.network)
        height, width = scenes[0].rgb.shape[:2]
        self.anchors = priors(PYRAMID, (width, height))
        self.epoch = 0
        self.last: dict[str, float] = {}
        self._resume()

    def _start_from(self, start: Mapping[str, Tensor]) -> None:
        found = self.network.load_state_dict(start, strict=False)
        lacking = [name for name in found.missing_keys if not name.startswith(MODULES)]
        if lacking or found.unexpected_keys:
            raise ValueError(f"weights of another network: {[*lacking, *found.unexpected_keys][0]}")

    def run(self, until: int | None = None) -> Network:
        """Train to the end of the schedule, or of epoch `until`; the network in evaluation mode."""
        end = self.plan.schedule.epochs if until is None else until
        for epoch in tqdm(range(self.epoch, end), initial=self.epoch, total=end, unit="epoch", mininterval=5):
            self._run_epoch(epoch)
            self.epoch = epoch + 1
            self._save()
        return self.network.eval()

    def _run_epoch(self, epoch: int) -> None:
        self.network.train()
        schedule, anchors = self.plan.schedule, torch.from_numpy(self.anchors)
        steps = len(self.scenes) // schedule.batch
        sums: dict[str, float] = {}
        for step, (image, targets) in enumerate(self._batches(epoch)):
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.lr(epoch + step / steps)
            terms = losses(self.network(image), targets, anchors, self.plan.loss)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(sum(terms.values(), torch.zeros(())))
            self.optimizer.step()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.item() / steps
        self.last = sums

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Targets]]:
        """Whole batches in an order that seed and epoch decide."""
        rng = np.random.default_rng([self.plan.seed, epoch])
        order, size = rng.permutation(len(self.scenes)), self.plan.schedule.batch
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield self._batch([augmented(self.scenes[i], rng, rotation=self.plan.rotation) for i in chosen])

    def _batch(self, frames: list[Frame]) -> tuple[Tensor, Targets]:
        matched = zip(*(match(frame.boxes, frame.landmarks, self.anchors) for frame in frames), strict=True)
        return inputs([frame.rgb for frame in frames]), Targets(*(torch.from_numpy(np.stack(part)) for part in matched))

    def _save(self) -> None:
        if self.out is None:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "plan": repr(self.plan),
            "epoch": self.epoch,
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        fresh = self.out / "checkpoint.new"
        torch.save(state, fresh)
        fresh.replace(self.out / CHECKPOINT)

    def _resume(self) -> None:
        if self.out is None or not (self.out / CHECKPOINT).is_file():
            return
        state = torch.load(self.out / CHECKPOINT, weights_only=True)
        if state["plan"] != repr(self.plan):
            raise ValueError(f"{self.out / CHECKPOINT}: of another plan: {state['plan']}")
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]


def _optimizer(schedule: Schedule, network: Network) -> torch.optim.Optimizer:
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), weight_decay=schedule.weight_decay)
    return torch.optim.SGD(network.parameters(), momentum=schedule.momentum, weight_decay=schedule.weight_decay)


def inputs(pictures: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> Tensor:
    """RGB uint8 (H, W, 3) each, to (B, 3, H, W) of about -1..1."""
    stack = torch.from_numpy(np.stack(pictures)).permute(
        0, 3, 1, 2
    )  # in memory the channels stay last, which is faster
    return (stack.float() - MEAN) * SCALE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nfd-train`."""
    parser.add_argument("--data", type=Path, required=True, help="renders, or an annotated set of any known layout")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint and weights go here")
    parser.add_argument("--backbone", choices=("resnet50", "mobilenet"), default="resnet50")
    parser.add_argument("--hcc", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--dan", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--quality", choices=("diou", "iou"), default="diou", help="what the quality branch predicts")
    parser.add_argument("--box-loss", choices=("smooth-l1", "diou"), default="smooth-l1")
    parser.add_argument("--rotation", action="store_true", help="turn frames by any angle (the seed does not)")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="seed")
    parser.add_argument("--start", type=Path, help="weights to start from, with or without the two modules")
    add_scale(parser, epochs=20, images=3000, size="640x640", width=None)
    parser.add_argument("--seed", type=int, default=1)


def add_scale(parser: argparse.ArgumentParser, *, epochs: int, images: int, size: str, width: int | None) -> None:
    """How large the training is."""
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--images", type=int, default=images, help="frames that are drawn once and held in memory")
    parser.add_argument("--size", type=frame_size, default=frame_size(size), help="of a frame, WxH in px")
    parser.add_argument(
        "--width", type=int, default=width, help="channels of the pyramid; the official ones unless given"
    )
    parser.add_argument("--threads", type=int, default=1)


def frame_size(text: str) -> tuple[int, int]:
    """(width, height) from WxH."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text}: expected WxH, such as 640x640")
    return int(width), int(height)


def run(args: argparse.Namespace) -> int:
    """Train one network; its weights are in OUT/weights.pt."""
    torch.set_num_threads(args.threads)
    network = NetworkConfig(args.backbone, hcc=args.hcc, dan=args.dan, channels=args.width)
    loss = LossConfig(args.box_loss, args.quality)
    plan = Plan(network, loss, RECIPES[args.recipe](args.epochs), args.rotation, args.seed)
    start = torch.load(args.start, map_location="cpu", weights_only=True) if args.start else None
    make = draw if (args.data / "truth.jsonl").is_file() else training_scenes
    training = Training(plan, make(args.data, args.images, args.size, args.seed), args.out, start)
    torch.save(training.run().state_dict(), args.out / "weights.pt")
    print(" ".join(f"{name} {value:.4f}" for name, value in training.last.items()))
    return 0

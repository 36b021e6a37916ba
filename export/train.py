"""One plain training loop: a stream, a loss, a wall-clock budget; it checkpoints, resumes and averages weights."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from export.behaviour import arguments as behaviour_arguments
from export.pain import arguments as pain_arguments

CHECKPOINT_EVERY_S = 120.0
EMA_DECAY = 0.998

Losses = Callable[[nn.Module, tuple[Tensor, ...]], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training on one stream; `share` is its part of the wall-clock budget."""

    stream: IterableDataset[tuple[Tensor, ...]]
    batch: int
    share: float
    losses: Losses


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a network is trained by."""

    model: nn.Module
    phases: tuple[Phase, ...]
    peak_lr: float = 3e-3
    weight_decay: float = 1e-3


class Averaged:
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, model: nn.Module) -> None:
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after one step; early on the average follows faster."""
        self.steps += 1
        decay = min(EMA_DECAY, self.steps / (self.steps + 10))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


def rate(progress: float) -> float:
    """Share of the peak learning rate at 0..1 of the budget: a short warm-up, then a half cosine."""
    return min(progress / 0.03, 1.0) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))) + 1e-3


class Trainer:
    """Runs a recipe for `minutes`, counting those of earlier runs of the same folder."""

    def __init__(self, recipe: Recipe, out: Path, minutes: float) -> None:
        self.recipe, self.out, self.budget_s = recipe, out, minutes * 60
        self.optimizer = torch.optim.AdamW(recipe.model.parameters(), lr=0, weight_decay=recipe.weight_decay)
        self.averaged = Averaged(recipe.model)
        self.spent_s, self.step = 0.0, 0
        self.smooth: dict[str, float] = {}
        self._resume()

    def run(self, workers: int) -> None:
        """Train until the budget is spent; the newest averaged weights are in OUT/weights.pt."""
        self.recipe.model.train()
        for weight in self.recipe.model.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        start_s = 0.0
        for phase in self.recipe.phases:
            end_s = start_s + phase.share * self.budget_s
            if self.spent_s < end_s:
                loader = DataLoader(phase.stream, phase.batch, num_workers=workers, persistent_workers=False)
                self._run_phase(phase, iter(loader), end_s)
            start_s = end_s
        self.save()

    def _run_phase(self, phase: Phase, batches: Iterator[list[Tensor]], end_s: float) -> None:
        bar = tqdm(total=round(end_s), initial=round(self.spent_s), unit="s", mininterval=5)
        saved_s = self.spent_s
        while self.spent_s < end_s:
            begun = time.monotonic()
            self._step(phase, tuple(next(batches)))
            self.spent_s += time.monotonic() - begun
            bar.update(int(self.spent_s) - bar.n)
            bar.set_postfix({"step": self.step, **{k: f"{v:.3f}" for k, v in self.smooth.items()}}, refresh=False)
            if self.spent_s - saved_s > CHECKPOINT_EVERY_S:
                self.save()
                saved_s = self.spent_s
        bar.close()

    def _step(self, phase: Phase, batch: tuple[Tensor, ...]) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.peak_lr * rate(self.spent_s / self.budget_s)
        terms = phase.losses(self.recipe.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(sum(terms.values(), torch.zeros(())))
        nn.utils.clip_grad_norm_(self.recipe.model.parameters(), 5.0)
        self.optimizer.step()
        self.averaged.update(self.recipe.model)
        self.step += 1
        for name, value in terms.items():
            self.smooth[name] = 0.98 * self.smooth.get(name, value.item()) + 0.02 * value.item()

    def save(self) -> None:
        """Write the checkpoint, so that a run that is cut off goes on from here."""
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.recipe.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.state,
            "steps": self.averaged.steps,
            "spent_s": self.spent_s,
            "step": self.step,
        }
        fresh = self.out / "checkpoint.new"
        torch.save(state, fresh)
        fresh.replace(self.out / "checkpoint.pt")
        torch.save(self.averaged.state, self.out / "weights.pt")

    def _resume(self) -> None:
        path = self.out / "checkpoint.pt"
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.recipe.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.averaged.state, self.averaged.steps = state["averaged"], state["steps"]
        self.spent_s, self.step = state["spent_s"], state["step"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train`."""
    parser.add_argument("task", choices=("face", "expression", "pulse", "pose", "pose-depth", "behaviour", "pain"))
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[],
        help="a folder of renders, without which face draws them on the way; of behaviour labelled faces in any layout",
    )
    parser.add_argument("--photographs", type=Path, help="photographs with landmarks: faces_london or any known layout")
    parser.add_argument("--out", type=Path, help="checkpoint and weights, or the fine-tuned model, go here")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="learn from only so many faces of each source (pain)")
    behaviour_arguments.add_arguments(parser)
    pain_arguments.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train one network, fine-tune the released one that reads behaviour, or fit a pipeline that tells the pain cue."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)  # a pool of threads that is forked into the workers would wait for itself for ever
    if args.task == "behaviour":
        from export.behaviour.command import run as fine_tune  # noqa: PLC0415

        return fine_tune(args)
    if args.task == "pain":
        from export.pain.train import run as fit_pain  # noqa: PLC0415  (scikit-learn is slow to import)

        return fit_pain(args)
    from export.recipes import RECIPES  # noqa: PLC0415  (the recipes import the networks, which this loop need not)

    if args.out is None:
        raise ValueError(f"train {args.task}: --out: missing; weights must go somewhere")
    recipe = RECIPES[args.task](args.data, args.photographs, args.seed)
    Trainer(recipe, args.out, args.minutes).run(args.workers)
    return 0

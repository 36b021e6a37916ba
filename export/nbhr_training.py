"""`nbhr-train`: NBHRnet in its three stages by the published schedules, each taken up again where it was cut off.

First the wave from the video, then the rate from the contact pulse, then both together from where these ended.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from edgemon.rppg import HIGH_BPM, LOW_BPM
from export.datasets.nbhr_pulse import NbhrSample, read_sample, sample_files
from export.nbhrnet import FLOOR_HZ, HRExtractor, NBHRConfig, NBHRnet, PPGExtractor, told_bpm
from export.pulse_losses import pearson, target_odds

L2 = 1e-3  # of the first dense layer
SHIFT = 0.5  # one number within +- this is added to all of a clip
Terms = dict[str, Tensor]
N = TypeVar("N", bound=nn.Module)
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Stage:
    """RMSprop (decay 0.9) whose rate falls by `factor` after every `every` epochs."""

    lr: float
    batch: int
    epochs: int
    factor: float
    every: int

    def lr_at(self, epoch: int) -> float:
        """In an epoch, counted from 0."""
        return float(self.lr * self.factor ** (epoch // self.every))


@dataclass(frozen=True, slots=True)
class Recipe:
    """The three stages, how the rate is told, and the slowest that clips are played (1: never slower)."""

    wave: Stage = Stage(2e-4, 16, 60, 0.3, 30)
    rate: Stage = Stage(5e-4, 64, 60, 0.2, 20)
    both: Stage = Stage(1e-4, 12, 50, 0.2, 30)
    network: NBHRConfig = field(default_factory=NBHRConfig)
    slowest: float = 1.0


RECIPES: Mapping[str, Recipe] = {
    "seed": Recipe(),
    "odds": Recipe(network=NBHRConfig(prelu="channel", third_dilation=3, rate="odds"), slowest=0.75),
}


def wave_loss(found: Tensor, wave: Tensor) -> Tensor:
    """0.8 (1 - Pearson) + 0.2 squared error, each window by itself."""
    return 0.8 * (1 - pearson(found, wave)).mean() + 0.2 * F.mse_loss(found, wave)


def rate_loss(told: Tensor, hr_hz: Tensor, head: HRExtractor) -> Tensor:
    """Squared error of Hz - 1.2, or the cross entropy of the odds; and the weight decay of the dense layer."""
    if told.ndim == 1:
        error = F.mse_loss(told, hr_hz - FLOOR_HZ)
    else:
        error = F.cross_entropy(told, target_odds((60 * hr_hz).clamp(LOW_BPM, HIGH_BPM)))
    return error + L2 * head.dense.weight.square().sum()


def _wave_terms(network: nn.Module, batch: Batch) -> Terms:
    video, wave, _, _ = batch
    return {"wave": wave_loss(network(video), wave)}


def _rate_terms(network: nn.Module, batch: Batch) -> Terms:
    assert isinstance(network, HRExtractor)
    _, _, contact, hr_hz = batch
    return {"rate": rate_loss(network(contact), hr_hz, network)}


def _both_terms(network: nn.Module, batch: Batch) -> Terms:
    assert isinstance(network, NBHRnet)
    video, wave, _, hr_hz = batch
    found, told = network(video)
    return {"wave": 0.1 * wave_loss(found, wave), "rate": 0.9 * rate_loss(told, hr_hz, network.hr)}


class Training:
    """A recipe at work on a list of sample files; OUT/STAGE.pt holds each stage after every epoch."""

    def __init__(self, recipe: Recipe, files: list[Path], out: Path, seed: int = 1) -> None:
        self.recipe, self.files, self.out, self.seed = recipe, files, out, seed
        self.last: dict[str, float] = {}
        torch.manual_seed(seed)

    def run(self) -> NBHRnet:
        """All stages that are not done yet; the network in evaluation mode."""
        r = self.recipe
        network = NBHRnet(r.network)
        network.ppg = self._stage("wave", PPGExtractor(r.network), r.wave, _wave_terms)
        network.hr = self._stage("rate", HRExtractor(r.network), r.rate, _rate_terms)
        return self._stage("both", network, r.both, _both_terms).eval()

    def _stage(self, name: str, network: N, stage: Stage, terms: Callable[[nn.Module, Batch], Terms]) -> N:
        learnt = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.RMSprop(learnt, stage.lr, alpha=0.9, eps=1e-7)
        done = self._resume(name, network, optimizer)
        network.train()
        for epoch in tqdm(range(done, stage.epochs), initial=done, total=stage.epochs, desc=name, mininterval=5):
            for group in optimizer.param_groups:
                group["lr"] = stage.lr_at(epoch)
            sums: dict[str, float] = {}
            steps = -(-len(self.files) // stage.batch)
            for batch in self._batches(stage.batch, epoch, video=name != "rate"):
                parts = terms(network, batch)
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(sum(parts.values(), torch.zeros(())))
                optimizer.step()
                for key, value in parts.items():
                    sums[key] = sums.get(key, 0.0) + value.item() / steps
            self.last = {f"{name}: {key}": value for key, value in sums.items()}
            self._save(name, network, optimizer, epoch + 1)
        return network

    def _batches(self, size: int, epoch: int, *, video: bool) -> Iterator[Batch]:
        """All files in an order that seed and epoch decide; the last batch may be smaller."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.files))
        for start in range(0, len(order), size):
            chosen = [self._sample(rng, self.files[i]) for i in order[start : start + size]]
            yield batch_of(chosen, rng if video else None)

    def _sample(self, rng: np.random.Generator, path: Path) -> NbhrSample:
        sample = read_sample(path)
        wanted = (self.recipe.network.frames, self.recipe.network.size_px)
        if sample.video.shape[:2] != wanted:
            raise ValueError(f"{path}: video: must be of {wanted[0]} frames of {wanted[1]} px")
        slowest = max(self.recipe.slowest, LOW_BPM / 60 / sample.hr_hz)
        return sample.slowed(rng.uniform(slowest, 1)) if slowest < 1 else sample

    def _save(self, name: str, network: nn.Module, optimizer: torch.optim.Optimizer, done: int) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": repr(self.recipe),
            "epoch": done,
            "model": network.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        fresh = self.out / f"{name}.new"
        torch.save(state, fresh)
        fresh.replace(self.out / f"{name}.pt")

    def _resume(self, name: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        path = self.out / f"{name}.pt"
        if not path.is_file():
            return 0
        state = torch.load(path, weights_only=True)
        if state["recipe"] != repr(self.recipe):
            raise ValueError(f"{path}: of another recipe: {state['recipe']}")
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])


def batch_of(samples: list[NbhrSample], rng: np.random.Generator | None) -> Batch:
    """Video (B, T, 3, H, W) with its random shift, wave and contact PPG (B, T), rate in Hz (B,).

    Without `rng` the video is left out, for what learns from the contact PPG alone.
    """
    videos = torch.zeros(())
    if rng is not None:
        stack = np.stack([s.video + np.float32(rng.uniform(-SHIFT, SHIFT)) for s in samples])
        videos = torch.from_numpy(stack.transpose(0, 1, 4, 2, 3).copy())
    waves, contacts = (torch.from_numpy(np.stack(x)) for x in ([s.wave for s in samples], [s.contact for s in samples]))
    return videos, waves, contacts, torch.tensor([s.hr_hz for s in samples])


def mean_error_bpm(network: NBHRnet, files: list[Path]) -> float:
    """Mean absolute error over samples."""
    errors = []
    with torch.inference_mode():
        for path in files:
            sample = read_sample(path)
            video = torch.from_numpy(sample.video.transpose(0, 3, 1, 2)[None].copy())
            errors.append(abs(float(told_bpm(network(video)[1])[0]) - 60 * sample.hr_hz))
    return float(np.mean(errors))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nbhr-train`."""
    parser.add_argument("--data", type=Path, required=True, help="npz samples of infants to learn from")
    parser.add_argument("--val", type=Path, help="npz samples of other infants, to measure on")
    parser.add_argument("--out", type=Path, required=True, help="the stages and the weights go here")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="seed")
    parser.add_argument("--epochs", type=int, help="of each stage, in place of the recipe's; its drops move along")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)


def scaled(recipe: Recipe, epochs: int | None) -> Recipe:
    """The recipe with stages of so many epochs."""
    if epochs is None:
        return recipe
    stages = {
        name: replace(stage, epochs=epochs, every=max(1, round(stage.every * epochs / stage.epochs)))
        for name, stage in (("wave", recipe.wave), ("rate", recipe.rate), ("both", recipe.both))
    }
    return replace(recipe, **stages)  # type: ignore[arg-type]  # the names are those of the stages


def run(args: argparse.Namespace) -> int:
    """Train all three stages; the weights are in OUT/weights.pt."""
    torch.set_num_threads(args.threads)
    training = Training(scaled(RECIPES[args.recipe], args.epochs), sample_files(args.data), args.out, args.seed)
    network = training.run()
    torch.save(network.state_dict(), args.out / "weights.pt")
    print(" ".join(f"{name} {value:.4f}" for name, value in training.last.items()))
    if args.val is not None:
        files = sample_files(args.val)
        print(f"{mean_error_bpm(network, files):.2f} bpm mean absolute error on {len(files)} samples")
    return 0

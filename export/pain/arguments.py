"""What the commands are told of pain; quick to import."""

from __future__ import annotations

import argparse
from pathlib import Path

NAMES = ("naive bayes", "k-NN", "SVM", "random forest")
KINDS = ("deep", "handcrafted", "mixed features", "fused scores")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `train`, `evaluate` and `release` need for pain alone."""
    group = parser.add_argument_group("pain")
    group.add_argument("--network", type=Path, help="features come from this ONNX graph; models/expression.onnx")
    group.add_argument("--layer", help="of that graph: whose tensor is taken; what its last dense layer takes")
    group.add_argument("--network-size", help="WIDTHxHEIGHT that it takes, where neither graph nor manifest tells")
    group.add_argument("--network-mean", type=float, nargs=3, default=(127.5,) * 3, metavar="M")
    group.add_argument("--network-scale", type=float, nargs=3, default=(1 / 127.5,) * 3, metavar="S")
    group.add_argument("--bgr", action="store_true", help="it takes blue first")
    group.add_argument("--channels-last", action="store_true", help="it takes (1, H, W, 3)")
    group.add_argument("--keep", type=int, default=200, help="features that RELIEF-F keeps of a branch")
    group.add_argument("--pairs", type=int, help="evaluate: render calm and later pictures of so many infants")
    group.add_argument("--folds", type=int, default=5, help="leave-subjects-out folds, where there is no --test")
    group.add_argument("--classifier", choices=NAMES, help="train this one, not the best by subjects left out")
    group.add_argument("--kind", choices=KINDS, help="train on these features, not on the best")
    group.add_argument("--test", type=Path, help="judge on these infants instead of leaving subjects out")
    group.add_argument("--ncnn-minutes", type=float, default=0.0, help="train N-CNN beside for so long a fold")

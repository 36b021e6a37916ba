"""`python -m export breaths`: clips that breathe, as a device reads them, with their exact truth."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np

from export.respiration.render import recipe_of, render
from export.synthesize import SPLITS, identity_of, names_in, write_truths

Job = tuple[Path, int, int, str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `breaths`."""
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=32.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--workers", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """Renders what is still missing of a set; clip N depends on seed, split, seconds and N alone."""
    args.out.mkdir(parents=True, exist_ok=True)
    done = names_in(args.out)
    numbers = [number for number in range(args.count) if f"{number:03d}" not in done]
    jobs = [(args.out, number, args.seed, args.split, args.seconds) for number in numbers]
    write_truths(args.out, draw, jobs, args, unit="clip")
    return 0


def draw(job: Job) -> str:
    """Renders one clip and writes what a device reads of it; its truth as a JSON line."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    out, number, seed, split, seconds = job
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    seen = render(recipe_of(rng, number, identity_of(split, rng), seconds))
    seen.write(out / f"{number:03d}.npz")
    return json.dumps({"name": f"{number:03d}"} | seen.truth)

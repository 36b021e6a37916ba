"""`synthesize`: image sets, clips and pulse traces of the synthetic newborn, with their exact truth."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgemon.depth import depth_image
from export.arguments import frame_size, positive
from export.heart_rate.render import recipe_of, render
from export.infant import body, moving
from export.infant.clip import write_clip
from export.infant.closeup import render_closeup
from export.infant.lying import POSTURES
from export.infant.proportions import compare, read_labels, table
from export.infant.sample import Sample, render_sample
from export.infant.sensor import LIGHTS

SPLITS = ("train", "val", "test")
VIEWS = ("face", "body", "expression")
SIZES = {"face": (384, 384), "body": body.SIZE, "expression": (224, 224)}
IDENTITIES, SIBLINGS = 4000, 4
EMPTY_SHARE = 0.05  # of cots


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `synthesize images`, `synthesize sheet`, `clip`, `limbs` and `pulses`."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    images = kinds.add_parser(
        "images", help="random pictures: NNNNNN.jpg, .labels.png (body: .depth.png) and truth.jsonl"
    )
    images.add_argument("--out", type=Path, required=True)
    images.add_argument("--count", type=int, required=True)
    images.add_argument("--seed", type=int, default=0)
    images.add_argument("--split", choices=SPLITS, default="train")
    images.add_argument("--view", choices=VIEWS, default="face")
    images.add_argument(
        "--size",
        type=int,
        default=None,
        help="side of a square picture in px (else face 384, close face 224, body 320x240)",
    )
    images.add_argument(
        "--shift", action="store_true", help="bodies by settings that training never draws; only with --split test"
    )
    images.add_argument("--workers", type=int, default=1)
    sheet = kinds.add_parser("sheet", help="a contact sheet of random pictures, for a model's card: one jpg")
    sheet.add_argument("--out", type=Path, required=True)
    sheet.add_argument("--columns", type=int, default=8)
    sheet.add_argument("--rows", type=int, default=4)
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument("--split", choices=SPLITS, default="test")
    sheet.add_argument("--view", choices=VIEWS, default="expression")
    sheet.add_argument("--tile", type=int, default=176, help="width of one picture in px")
    sheet.add_argument("--depth", action="store_true", help="bodies as depth")
    sheet.add_argument("--shift", action="store_true", help="bodies by settings that training never draws")
    likeness = kinds.add_parser("compare", help="drawn bodies' angles and proportions beside annotated infants'")
    likeness.add_argument("--labels", type=Path, required=True, help="folder of babymoves_labels")
    likeness.add_argument("--count", type=int, default=400)
    likeness.add_argument("--seed", type=int, default=0)
    clip = kinds.add_parser("clip", help="a video with a pulse: FILE.mp4 and FILE.truth.json")
    clip.add_argument("--out", type=Path, required=True)
    clip.add_argument("--script", default="demo")
    clip.add_argument("--seconds", type=float, default=90.0)
    clip.add_argument("--fps", type=int, default=30)
    clip.add_argument("--size", default="640x480", help="WIDTHxHEIGHT in px")
    clip.add_argument("--identity", type=int, default=None)
    clip.add_argument("--megabytes", type=float, default=7.0, help="size to aim at")
    _add_limbs(kinds.add_parser("limbs", help="a video of a whole newborn who moves: FILE.mp4 and FILE.truth.json"))
    pulses = kinds.add_parser("pulses", help="what a device reads of random clips: NNN.npz and truth.jsonl")
    pulses.add_argument("--out", type=Path, required=True)
    pulses.add_argument("--count", type=int, required=True)
    pulses.add_argument("--seconds", type=float, default=30.0)
    pulses.add_argument("--seed", type=int, default=0)
    pulses.add_argument("--split", choices=SPLITS, default="test")
    pulses.add_argument("--workers", type=int, default=1)


def _add_limbs(limbs: argparse.ArgumentParser) -> None:
    limbs.add_argument("--out", type=Path, required=True)
    limbs.add_argument("--seconds", type=positive(float), default=60.0)
    limbs.add_argument("--fps", type=positive(int), default=30)
    limbs.add_argument("--size", type=frame_size, default=(320, 240), help="WIDTHxHEIGHT in px")
    limbs.add_argument("--identity", type=int, default=1009, help="one that ends in 9 is never trained on")
    limbs.add_argument("--posture", choices=POSTURES, default="supine")
    limbs.add_argument("--cover", choices=moving.COVERS, default="none", help="up to where a blanket lies")
    limbs.add_argument("--light", choices=LIGHTS, default="bright")
    limbs.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0 on success."""
    commands = {
        "images": run_images,
        "sheet": run_sheet,
        "compare": run_compare,
        "clip": run_clip,
        "limbs": run_limbs,
        "pulses": run_pulses,
    }
    return commands[args.kind](args)


def identity_of(split: str, rng: np.random.Generator) -> int:
    """A random identity of a split (see `split_of`)."""
    ending = {"train": int(rng.integers(0, 8)), "val": 8, "test": 9}[split]
    return int(rng.integers(0, IDENTITIES // 10)) * 10 + ending


def run_images(args: argparse.Namespace) -> int:
    """Renders what is still missing of a set; picture N depends on seed, split, view, size, shift and N alone."""
    if args.shift and (args.view, args.split) != ("body", "test"):
        raise ValueError("--shift goes with --view body --split test: training never sees such settings")
    args.out.mkdir(parents=True, exist_ok=True)
    done = names_in(args.out)
    size = (args.size, args.size) if args.size else SIZES[args.view]
    jobs = [
        (args.out, number, args.seed, args.split, args.view, size, args.shift)
        for number in range(args.count)
        if f"{number:06d}" not in done
    ]
    write_truths(args.out, render_one, jobs, args, unit="img")
    return 0


def run_pulses(args: argparse.Namespace) -> int:
    """Renders what is still missing of a set; clip N depends on seed, split, seconds and N alone."""
    args.out.mkdir(parents=True, exist_ok=True)
    done = names_in(args.out)
    jobs = [
        (args.out, number, args.seed, args.split, args.seconds)
        for number in range(args.count)
        if f"{number:03d}" not in done
    ]
    write_truths(args.out, render_pulses, jobs, args, unit="clip")
    return 0


Job = tuple[Path, int, int, str, str, tuple[int, int], bool]
PulseJob = tuple[Path, int, int, str, float]
AnyJob = TypeVar("AnyJob")


def names_in(out: Path) -> set[str]:
    """Names that the set's truth already tells."""
    truth = out / "truth.jsonl"
    return {json.loads(line)["name"] for line in truth.read_text().splitlines()} if truth.is_file() else set()


def write_truths(
    out: Path, draw: Callable[[AnyJob], str], jobs: list[AnyJob], args: argparse.Namespace, *, unit: str
) -> None:
    """Draw every job and add the line that it tells to truth.jsonl."""
    with (
        (out / "truth.jsonl").open("a", encoding="utf-8") as file,
        tqdm(total=args.count, initial=args.count - len(jobs), unit=unit) as bar,
    ):
        for line in _spread(draw, jobs, args.workers):
            file.write(line + "\n")
            file.flush()
            bar.update()


def _spread(draw: Callable[[AnyJob], str], jobs: list[AnyJob], workers: int) -> Iterator[str]:
    if workers <= 1:
        yield from map(draw, jobs)
        return
    os.environ.setdefault("LP_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers) as pool:
        queue = iter(jobs)
        while batch := list(islice(queue, 64 * workers)):
            yield from pool.map(draw, batch, chunksize=max(1, min(8, len(batch) // workers)))


def render_one(job: Job) -> str:
    """Renders and writes one picture and its labels or depth; its truth as a JSON line."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    out, number, seed, split, view, size, shift = job
    name = f"{number:06d}"
    sample: Sample | body.BodySample
    if view == "body":
        sample = draw_body(number, seed, split, size, shift=shift)
        cv2.imwrite(str(out / f"{name}.depth.png"), sample.depth_mm)
    else:
        sample = draw(number, seed, split, view, size)
        cv2.imwrite(str(out / f"{name}.labels.png"), sample.labels)
    cv2.imwrite(str(out / f"{name}.jpg"), cv2.cvtColor(sample.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
    return json.dumps({"name": name} | asdict(sample.truth))


def draw(number: int, seed: int, split: str, view: str, size: tuple[int, int]) -> Sample:
    """Picture `number` of a set of faces, of a random identity of its split."""
    rng = np.random.default_rng([seed, SPLITS.index(split), VIEWS.index(view), number])
    identity = identity_of(split, rng)
    if view == "expression":
        return render_closeup(rng, identity=identity, size=size)
    return render_sample(rng, identity=identity, size=size, view=view)


def draw_body(number: int, seed: int, split: str, size: tuple[int, int], *, shift: bool) -> body.BodySample:
    """Picture `number` of a set of bodies; SIBLINGS after one another show one random identity of its split."""
    key = [seed, SPLITS.index(split), VIEWS.index("body")]
    identity = identity_of(split, np.random.default_rng([*key, number // SIBLINGS, 1]))
    settings = body.SHIFT if shift else body.TRAIN
    rng = np.random.default_rng([*key, number])
    empty = bool(rng.random() < EMPTY_SHARE)
    return body.render_body(rng, identity=identity, size=size, settings=settings, empty=empty)


def run_sheet(args: argparse.Namespace) -> int:
    """Tiles the first pictures of a set, all of them synthetic newborns."""
    size = SIZES[args.view]
    tile = (args.tile, round(args.tile * size[1] / size[0]))
    pictures = (_picture(args, number) for number in range(args.columns * args.rows))
    tiles = [cv2.resize(picture, tile, interpolation=cv2.INTER_AREA) for picture in pictures]
    rows = [np.hstack(tiles[at : at + args.columns]) for at in range(0, len(tiles), args.columns)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return 0


def _picture(args: argparse.Namespace, number: int) -> NDArray[np.uint8]:
    """RGB of a tile; depth as the network gets it where asked for."""
    size = SIZES[args.view]
    if args.view != "body":
        return draw(number, args.seed, args.split, args.view, size).rgb
    sample = draw_body(number, args.seed, args.split, size, shift=args.shift)
    return depth_image(sample.depth_mm) if args.depth else sample.rgb


def run_compare(args: argparse.Namespace) -> int:
    """Prints how supine newborns as drawn for training compare with labels; nothing is rendered."""
    labelled = read_labels(args.labels)
    drawn = []
    for number in range(args.count):
        rng = np.random.default_rng([args.seed, number])
        lying = body.sample_scene(rng, identity_of("train", rng), body.SIZE, body.TRAIN, posture="supine")
        if lying.cover != "swaddle":
            drawn.append(lying.camera.project(body.joints_of(lying.figure), body.SIZE)[0])
    print(f"{len(labelled)} labelled frames, {len(drawn)} drawn\n{table(compare(labelled, np.array(drawn, float)))}")
    return 0


def render_pulses(job: PulseJob) -> str:
    """Renders one clip and writes what a device reads of it; its truth as a JSON line."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    out, number, seed, split, seconds = job
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    name = f"{number:03d}"
    seen = render(recipe_of(rng, number, identity_of(split, rng), seconds))
    seen.write(out / f"{name}.npz")
    return json.dumps({"name": name} | seen.truth)


def run_clip(args: argparse.Namespace) -> int:
    """Renders a script to a video with its truth beside it."""
    width, height = (int(part) for part in args.size.split("x"))
    write_clip(
        args.out,
        script=args.script,
        seconds=args.seconds,
        fps=args.fps,
        size=(width, height),
        identity=args.identity,
        megabytes=args.megabytes,
    )
    return 0


def run_limbs(args: argparse.Namespace) -> int:
    """Renders a newborn who moves to a video with its truth beside it."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    clip = moving.LimbClip(
        args.identity,
        args.posture,
        args.cover,
        args.light,
        seconds=args.seconds,
        fps=args.fps,
        size=args.size,
        seed=args.seed,
    )
    moving.write(clip, args.out)
    return 0

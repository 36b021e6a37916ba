"""How people's own labelled faces are told on the command line, and how fine-tuning is set; quick to import."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from export.behaviour.sample import ROLES, Framing, Reading, columns_of, meanings_of

_FRAMINGS: Mapping[str, Framing] = {"crops": "crop", "scenes": "scene"}


@dataclass(frozen=True, slots=True)
class Options:
    """Steps of the last layer alone, then passes over the faces for every weight at a peak rate `lr`."""

    head_steps: int = 300
    epochs: int = 4
    lr: float = 1e-4
    batch: int = 32
    seed: int = 1


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """How people's own labelled faces are read."""
    own = parser.add_argument_group("labelled faces of your own (behaviour)")
    own.add_argument("--pictures", choices=tuple(_FRAMINGS), help="cut-out faces, or pictures to look for faces in")
    own.add_argument("--columns", nargs="+", default=[], help=f"ROLE=NAME of a csv; roles: {', '.join(ROLES)}")
    own.add_argument("--meaning", nargs="+", default=[], help="LABEL=TARGET:0,TARGET:1; what a label says")
    own.add_argument("--subject", help="a regular expression; its first group, in a file's name, is the infant")
    own.add_argument("--rate-hz", type=float, default=1.0, help="frames a second taken from clips")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train behaviour` beside those of `train`."""
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder of released models (behaviour)")
    parser.add_argument("--model", default="expression", help="the released model to start from (behaviour)")
    parser.add_argument("--epochs", type=int, default=Options().epochs, help="passes with every weight (behaviour)")
    parser.add_argument("--lr", type=float, default=Options().lr, help="their peak rate (behaviour)")
    parser.add_argument("--leave-one-subject-out", action="store_true", help="judge on each infant in turn (behaviour)")
    parser.add_argument("--plot", type=Path, help="draw the reliability there (behaviour)")
    parser.add_argument("--json", type=Path, help="write the figures there (behaviour)")
    add_reading_arguments(parser)


def reading_of(args: argparse.Namespace) -> Reading:
    """How to read the data.

    Raises:
        ValueError: an argument is malformed.
    """
    try:
        subject = re.compile(args.subject) if args.subject else None
    except re.error as error:
        raise ValueError(f"--subject {args.subject}: not a regular expression: {error}") from error
    if subject is not None and subject.groups < 1:
        raise ValueError(f"--subject {args.subject}: a group in parentheses must hold the infant's name")
    if args.rate_hz <= 0:
        raise ValueError(f"--rate-hz {args.rate_hz:g}: more than nought would be right")
    framing = _FRAMINGS.get(args.pictures)
    return Reading(meanings_of(args.meaning), columns_of(args.columns), subject, framing, args.rate_hz)

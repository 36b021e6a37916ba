"""The arguments of `evaluate nights`."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many days, and which."""
    group = parser.add_argument_group("nights")
    group.add_argument("--days", type=int, default=3, help="simulated days")
    group.add_argument("--seed", type=int, default=101, help="of the first day; the next ones follow")

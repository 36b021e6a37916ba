"""What arguments of several commands are read as."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def frame_size(text: str) -> tuple[int, int]:
    """WxH, or one number for both."""
    sides = text.lower().split("x")
    if not 1 <= len(sides) <= 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise argparse.ArgumentTypeError(f"a size is WxH in px, got {text!r}")
    return int(sides[0]), int(sides[-1])


def positive(kind: Callable[[str], Number]) -> Callable[[str], Number]:
    """A number above 0."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"not a number: {text!r}") from error
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
        return value

    return read

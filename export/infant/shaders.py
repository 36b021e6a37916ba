"""GLSL of the newborn renderer, one program per pass and material so that each carries only its own work."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

SKIN, EYE, TONGUE, CLOTH, DEVICE, CARER, GROUND = MATERIALS = tuple(range(7))
PASSES = ("colour", "ids", "shadow")


@lru_cache(maxsize=8)
def _source(name: str) -> str:
    return (Path(__file__).parent / "glsl" / f"{name}.glsl").read_text(encoding="utf-8")


def vertex() -> str:
    """The vertex shader of every pass."""
    return _source("vertex")


def fragment(name: str, material: int) -> str:
    """The fragment shader of a pass of PASSES for a material of MATERIALS."""
    return (_source("common") + _source(name)).replace("MATERIAL", str(material))

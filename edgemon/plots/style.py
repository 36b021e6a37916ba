"""Colours and type of all pictures: Okabe and Ito's eight, which stay apart for the colour-blind and on grey paper."""

from __future__ import annotations

from typing import Any, Final

INK: Final = "#26282b"
QUIET: Final = "#7b8087"
FAINT: Final = "#d9dce0"
GROUND: Final = "#f4f5f6"
PAPER: Final = "#ffffff"
LIMBS: Final = {"left arm": "#0072B2", "right arm": "#56B4E9", "left leg": "#D55E00", "right leg": "#E69F00"}
STATES: Final = {"crying": "#CC79A7", "awake": "#009E73", "asleep": "#3f4a7a"}
HEART: Final = "#a3123f"
MOTION: Final = "#8a8f96"

RC: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": QUIET,
    "axes.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "hatch.color": FAINT,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "edgemon",  # the same recording, the same bytes
}

"""What the study of ways to show n cots found, and its tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.pose_grid_ways import Size

FAR_TRUNKS = 0.1  # about an elbow's width: a joint that moves farther is no longer told rightly
_NOTES = (
    "p50, p90: errors of visible joints in trunk lengths; posture: right when told; open: posture not told;",
    "missed: infants not told; beyond: infants with a joint told outside their picture; astray: in another's tile;",
    "per cot: ms of the processor, ratio of that to one by one in turns, millions of multiplications;",
    "MiB: growth of a fresh process's peak memory by the model and its looks",
)


@dataclass(frozen=True)
class Accuracy:
    """Figures of `evaluate pose`; `missed` infants are told at no released threshold; shares are 0..1."""

    ap: float
    ar: float
    ap_visible: float | None
    los: float
    error_p50: float
    error_p90: float
    posture_right: float | None
    posture_open: float | None
    missed: float
    beyond_picture: float
    in_other_tile: float


@dataclass(frozen=True)
class Row:
    """n cots shown in one way; time, multiplications in millions, and ratio are per cot."""

    count: int
    way: str
    input_px: Size
    accuracy: Accuracy
    ms: float
    to_one_by_one: float
    multiplications_millions: float
    memory_mib: float


@dataclass(frozen=True)
class Cross:
    """How far labelled joints move when neighbours change; `curve` holds the quantiles 0, 0.01, ..., 1."""

    count: int
    way: str
    neighbours: str
    infants: int
    far: float
    appeared: float
    turned: float
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Guess:
    """A guess that never looks, beside which LOS must be read."""

    name: str
    ap: float
    los: float


@dataclass(frozen=True)
class Study:
    """All that is printed."""

    model: str
    data: str
    pictures: int
    guesses: tuple[Guess, ...]
    rows: tuple[Row, ...]
    crosses: tuple[Cross, ...]


def lines(told: Study) -> Iterator[str]:
    """The tables."""
    yield f"{told.model} on {told.pictures} pictures of {told.data}"
    yield (
        f"{'n':>2} {'way':<22}{'input px':>9}{'AP':>7}{'AR':>7}{'AP v=2':>8}{'LOS':>7}{'p50':>7}{'p90':>7}"
        f"{'posture':>9}{'open':>7}{'missed':>8}{'beyond':>8}{'astray':>8}"
        f"{'ms':>8}{'ratio':>7}{'mult':>7}{'MiB':>7}"
    )
    for row in told.rows:
        a = row.accuracy
        yield (
            f"{row.count:>2} {row.way:<22}{'x'.join(map(str, row.input_px)):>9}{a.ap:>7.3f}{a.ar:>7.3f}"
            f"{_or_dash(a.ap_visible):>8}{a.los:>7.3f}{a.error_p50:>7.3f}{a.error_p90:>7.3f}"
            f"{_or_dash(a.posture_right):>9}{_or_dash(a.posture_open):>7}"
            f"{a.missed:>8.1%}{a.beyond_picture:>8.1%}{a.in_other_tile:>8.1%}"
            f"{row.ms:>8.2f}{row.to_one_by_one:>7.2f}{row.multiplications_millions:>7.1f}{row.memory_mib:>7.1f}"
        )
    for guess in told.guesses:
        yield f"   {guess.name + ', never looks':<42}{guess.ap:>.3f}{'':>11}{guess.los:>10.3f}"
    yield from _NOTES
    yield ""
    yield "crosstalk: how far labelled joints move when all neighbours are replaced, in trunk lengths"
    yield (
        f"{'n':>2} {'way':<22}{'by':<14}{'infants':>8}{'p50':>8}{'p90':>8}{'p99':>8}{'max':>8}"
        f"{'far':>8}{'told':>8}{'turned':>8}"
    )
    for cross in told.crosses:
        p50, p90, p99, most = (cross.curve[n] for n in (50, 90, 99, 100))
        yield (
            f"{cross.count:>2} {cross.way:<22}{cross.neighbours:<14}{cross.infants:>8}{p50:>8.4f}{p90:>8.4f}{p99:>8.4f}"
            f"{most:>8.3f}{cross.far:>8.2%}{cross.appeared:>8.1%}{cross.turned:>8.1%}"
        )
    yield f"far: joints that move more than {FAR_TRUNKS}; told: infants told with one set of neighbours alone;"
    yield "turned: infants whose likeliest posture changes"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

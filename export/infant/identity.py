"""Who the synthetic newborn is: shape weights, skin, hair, all from one integer seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from export.infant.mesh import Floats, load_mesh

ETHNICITIES = ("african", "asian", "caucasian")
SHAPE_TARGETS: dict[str, float] = {
    "head-round": 0.25,
    "head-oval": 0.2,
    "head-square": 0.12,
    "head-fat-incr": 0.12,
    "head-triangular": 0.12,
    "head-invertedtriangular": 0.12,
    "head-back-scale-depth-incr": 0.3,
    "head-scale-vert-incr": 0.12,
    "head-scale-vert-decr": 0.12,
    "head-scale-horiz-incr": 0.12,
    "head-scale-horiz-decr": 0.10,
    "forehead-temple-incr": 0.2,
    "forehead-nubian-incr": 0.2,
    "forehead-trans-forward": 0.15,
    "forehead-scale-vert-incr": 0.2,
    "chin-prominent-decr": 0.25,
    "chin-width-incr": 0.15,
    "chin-bones-decr": 0.2,
    "chin-height-decr": 0.2,
    "neck-double-incr": 0.25,
    "nose-scale-horiz-incr": 0.25,
    "nose-scale-vert-decr": 0.2,
    "nose-curve-concave": 0.3,
    "nose-point-up": 0.2,
    "nose-flaring-incr": 0.2,
    "nose-volume-incr": 0.2,
    "nose-greek-decr": 0.2,
    "mouth-scale-horiz-decr": 0.15,
    "mouth-scale-horiz-incr": 0.12,
    "mouth-upperlip-volume-incr": 0.3,
    "mouth-lowerlip-volume-incr": 0.3,
    "mouth-cupidsbow-incr": 0.3,
    "mouth-philtrum-volume-incr": 0.3,
    "mouth-trans-up": 0.1,
    "mouth-trans-down": 0.1,
}
PAIRED_TARGETS: dict[str, float] = {
    "cheek-volume-incr": 0.25,
    "cheek-bones-incr": 0.15,
    "cheek-trans-down": 0.2,
    "eye-bag-incr": 0.3,
    "eye-eyefold-down": 0.3,
    "eye-eyefold-convex": 0.3,
    "eye-scale-incr": 0.12,
    "eye-scale-decr": 0.12,
    "eye-trans-out": 0.12,
    "eye-trans-in": 0.10,
    "eye-trans-down": 0.10,
    "eye-corner2-up": 0.2,
    "eye-corner2-down": 0.2,
    "ear-scale-decr": 0.25,
    "ear-wing-decr": 0.3,
    "ear-shape-round": 0.3,
    "ear-trans-down": 0.15,
}


@dataclass(frozen=True)
class Identity:
    """One newborn: `targets` are shape weights, colours are linear RGB, `melanin` runs 0 (lightest) to 1."""

    seed: int
    ethnicity: dict[str, float]
    targets: dict[str, float]
    melanin: float
    tone: tuple[float, float, float]
    blood: tuple[float, float, float]
    lip: tuple[float, float, float]
    hair: tuple[float, float, float]
    hair_amount: float
    brow_amount: float
    iris: tuple[float, float, float]
    mottle: float
    blotch: float
    pale: float
    limb_scale: float
    head_scale: float
    jitter: tuple[float, float, float]


def split_of(identity: int) -> str:
    """The split an identity belongs to, by its last digit: 0-7 train, 8 val, 9 test."""
    return {8: "val", 9: "test"}.get(identity % 10, "train")


@lru_cache(maxsize=256)
def make_identity(seed: int) -> Identity:
    """The newborn of a seed."""
    rng = np.random.default_rng([20260, seed])
    shares = rng.dirichlet((0.5, 0.5, 0.5))
    ethnicity = dict(zip(ETHNICITIES, (float(share) for share in shares), strict=True))
    mean = 0.80 * shares[0] + 0.30 * shares[1] + 0.12 * shares[2]
    melanin = float(np.clip(mean + rng.normal(0, 0.14), 0.0, 1.0))
    tone, blood, lip = _skin(rng, melanin)
    dark_hair = np.array([0.012, 0.008, 0.006]) * rng.uniform(0.5, 2.0)
    fair_hair = np.array([0.16, 0.10, 0.055]) * rng.uniform(0.6, 1.2)
    fair = rng.random() * (melanin < 0.25)
    hair = dark_hair + fair * (fair_hair - dark_hair)
    slate, brown = np.array([0.045, 0.055, 0.070]), np.array([0.050, 0.026, 0.014])
    iris = (slate + (brown - slate) * np.clip(melanin * 1.6 + rng.normal(0, 0.2), 0, 1)) * rng.uniform(0.5, 1.5)
    return Identity(
        seed=seed,
        ethnicity=ethnicity,
        targets=_shape(rng, ethnicity),
        melanin=melanin,
        tone=tone,
        blood=blood,
        lip=lip,
        hair=_triple(hair),
        hair_amount=float(rng.choice([0.15, 0.45, 0.75, 1.0])),
        iris=_triple(iris),
        brow_amount=float(rng.uniform(0.15, 0.75)),
        mottle=float(rng.uniform(0.1, 0.8)),
        blotch=float(rng.choice([0.0, 0.0, 0.3, 0.6])),
        pale=float(rng.choice([0.0, 0.0, 0.5, 1.0])),
        limb_scale=float(rng.uniform(0.80, 0.92)),
        head_scale=float(rng.uniform(1.02, 1.12)),
        jitter=_triple(rng.uniform(0, 1, 3)),
    )


def _skin(rng: np.random.Generator, melanin: float) -> tuple[tuple[float, float, float], ...]:
    """Linear albedo falling with melanin; haemoglobin tints; jaundice takes blue away."""
    light, dark = np.array([0.80, 0.56, 0.46]), np.array([0.105, 0.048, 0.030])
    base = np.exp(np.log(light) * (1 - melanin) + np.log(dark) * melanin) * rng.uniform(0.9, 1.1)
    jaundice = rng.choice([0.0, 0.0, 0.0, 0.25, 0.5])
    base = base * (1 - jaundice * np.array([0.0, 0.05, 0.55]))
    red = rng.uniform(0.0, 1.0)
    blood = np.array([1.0 - 0.05 * red, 0.84 - 0.20 * red, 0.82 - 0.18 * red])
    lip = base * np.array([0.86, 0.50, 0.50]) + np.array([0.03, 0.0, 0.005])
    return _triple(base), _triple(blood), _triple(lip)


def _shape(rng: np.random.Generator, ethnicity: dict[str, float]) -> dict[str, float]:
    female = float(rng.uniform(0.2, 0.8))
    out: dict[str, float] = {}
    for race, share in ethnicity.items():
        out[f"{race}-female-baby"], out[f"{race}-male-baby"] = share * female, share * (1 - female)
    fat = float(rng.uniform(-0.9, 0.9))
    side = "maxweight" if fat > 0 else "minweight"
    for sex, share in (("female", female), ("male", 1 - female)):
        out[f"universal-{sex}-baby-averagemuscle-averageweight"] = share * (1 - abs(fat))
        out[f"universal-{sex}-baby-averagemuscle-{side}"] = share * abs(fat)
    available = load_mesh().targets
    for name, limit in SHAPE_TARGETS.items():
        if name in available:
            out[name] = float(limit * rng.beta(1.2, 1.6) * 1.3)
    for name, limit in PAIRED_TARGETS.items():
        both = limit * rng.beta(1.2, 1.6) * 1.3
        for hand in "lr":
            out[f"{hand}-{name}"] = float(both * rng.uniform(0.85, 1.15))
    return {name: weight for name, weight in out.items() if name in available}


def _triple(values: Floats | np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third

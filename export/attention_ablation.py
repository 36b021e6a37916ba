"""`ablate-attention`: what each gate and its residual do for eyes, cry and the facial actions, over seeds.

Every row starts from one network that was trained without attention, since in as few steps from nothing all stay at
chance. Runs are equal: a fixed number of steps, whatever the machine is doing; each leaves a row and is not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from export.attention_runs import (
    AUCS,
    BATCH,
    VARIANTS,
    Config,
    Plan,
    Score,
    batches,
    build,
    judged,
    outcome_of,
    seconds_a_step,
    trained,
)
from export.cost import call_of, in_turns_ms, multiplications
from export.crops import Crops
from export.onnx_export import traced

COLUMNS = ("eyes", "cry", "mean", "mean, spoiled")
PLAIN, COSTLIEST = "none", "both-residual"
FEWEST_STEPS = 20
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cost:
    """Of one call."""

    weights: int
    mmacs: float
    ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A variant: AUC (seeds, COLUMNS), and what it costs."""

    name: str
    auc: Array
    cost: Cost


def figures(score: Score) -> list[float]:
    """A run's row of the table."""
    still = score.still
    return [still.get("eyes_closed", math.nan), still.get("crying", math.nan), *(score.mean(kind) for kind in AUCS)]


def costs(configs: Mapping[str, Config]) -> dict[str, Cost]:
    """Weights, multiplications and processor time of the fp32 graphs, timed in turns."""
    networks = {name: build(config).eval() for name, config in configs.items()}
    examples = {name: torch.zeros(1, 3, config.size_px, config.size_px) for name, config in configs.items()}
    spent = in_turns_ms({name: call_of(traced(networks[name], (examples[name],))) for name in configs})
    return {
        name: Cost(
            sum(weight.numel() for weight in network.parameters()),
            round(multiplications(network, examples[name]) / 1e6, 2),
            round(statistics.median(spent[name]), 3),
        )
        for name, network in networks.items()
    }


def table(lines: Sequence[Line]) -> Iterator[str]:
    """AUC in percent as mean ± standard deviation over seeds; then what each variant gains on the first by seed."""
    heads = " ".join(f"{name:>14}" for name in COLUMNS)
    yield f"{'AUC %':18} {heads} {'weights':>9} {'MMACs':>6} {'ms':>6}"
    for row in lines:
        cost = f"{row.cost.weights:>9,} {row.cost.mmacs:>6.1f} {row.cost.ms:>6.2f}"
        yield f"{row.name:18} {' '.join(_cells(row.auc))} {cost}"
    yield f"gain on {lines[0].name}, of equal seeds:"
    for row in lines[1:]:
        yield f"{row.name:18} {' '.join(_cells(row.auc - lines[0].auc, sign='+'))}"


def _cells(auc: Array, sign: str = "") -> Iterator[str]:
    for column in auc.T:
        yield f"{100 * column.mean():{sign}7.2f} ± {100 * spread(column):4.2f}"


def spread(values: Array) -> float:
    """Standard deviation over seeds; 0 of a single one."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def as_json(lines: Sequence[Line], scores: Mapping[str, Sequence[Score]], setting: Mapping[str, object]) -> str:
    """Everything in the table, and every seed's AUC by target."""
    rows = {
        row.name: {
            "mean": dict(zip(COLUMNS, row.auc.mean(axis=0).round(5).tolist(), strict=True)),
            "spread": dict(zip(COLUMNS, [round(spread(column), 5) for column in row.auc.T], strict=True)),
            "seeds": [{kind: dict(getattr(score, kind)) for kind in AUCS} for score in scores[row.name]],
            "weights": row.cost.weights,
            "mmacs": row.cost.mmacs,
            "ms": row.cost.ms,
        }
        for row in lines
    }
    return json.dumps({"setting": setting, "rows": rows}, indent=1) + "\n"


def plot(lines: Sequence[Line], path: Path) -> None:
    """Each column's AUC: a dot a seed, their mean and spread."""
    import matplotlib as mpl  # noqa: PLC0415  (only this needs it, and it is slow to import)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(
        1, len(COLUMNS), figsize=(13, 1.5 + 0.35 * len(lines)), sharey=True, layout="constrained"
    )
    places = np.arange(len(lines))[::-1]
    for number, (panel, name) in enumerate(zip(panels, COLUMNS, strict=True)):
        for place, row in zip(places, lines, strict=True):
            percent = 100 * row.auc[:, number]
            panel.errorbar(percent.mean(), place, xerr=100 * spread(row.auc[:, number]), fmt="D", capsize=3, color="C0")
            panel.plot(percent, np.full(len(percent), place - 0.22), ".", color="C1")
        panel.set_ylim(-0.6, len(lines) - 0.4)
        panel.set(title=name, xlabel="AUC (%)", yticks=places, yticklabels=[row.name for row in lines])
        panel.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def setting_of(args: argparse.Namespace, crops: Crops, test: Crops, kept: Path) -> dict[str, object]:
    """What all runs share; the steps of minutes are measured once, on the costliest variant, and then kept.

    Raises:
        ValueError: OUT holds runs of another setting.
    """
    asked = {name: getattr(args, name) for name in ("network", "judge", "batch", "pretrain")}
    asked |= {
        "minutes_per_run": None if args.steps else args.minutes_per_run,
        "data": f"{args.data.name} {crops.state[:12]}",
        "test": f"{args.test.name} {test.state[:12]}",
        "faces": len(crops),
    }
    if kept.is_file():
        found: dict[str, object] = json.loads(kept.read_text(encoding="utf-8"))
        if {name: found.get(name) for name in asked} != asked or args.steps not in (None, found["steps"]):
            raise ValueError(f"{kept}: of another setting; choose another --out")
        return found
    steps = args.steps
    if steps is None:
        plan = Plan(VARIANTS[args.network][COSTLIEST], 1, 1, args.batch)
        steps = max(
            FEWEST_STEPS,
            round(60 * args.minutes_per_run / seconds_a_step(plan, batches(args.data, plan, args.workers))),
        )
    asked["steps"] = steps
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asked), encoding="utf-8")
    return asked


def pretrained(args: argparse.Namespace, steps: int, kept: Path) -> Mapping[str, Tensor] | None:
    """The state that every run starts from, trained once with a seed of its own; none without pre-training."""
    if not steps:
        return None
    if not kept.is_file():
        print(f"pre-training, {steps} steps", flush=True)
        plan = Plan(VARIANTS[args.network][PLAIN], steps, 0, args.batch)
        fresh = kept.with_suffix(".new")
        torch.save(trained(plan, batches(args.data, plan, args.workers)).state_dict(), fresh)
        fresh.replace(kept)
    state: Mapping[str, Tensor] = torch.load(kept, weights_only=True)
    return state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ablate-attention`."""
    parser.add_argument("--data", type=Path, required=True, help="renders to train on")
    parser.add_argument("--test", type=Path, required=True, help="renders of other infants, for the table")
    parser.add_argument("--out", type=Path, default=Path("runs/attention"), help="one row a run goes here")
    parser.add_argument("--network", choices=tuple(VARIANTS), default="light")
    names = list(dict.fromkeys(name for variants in VARIANTS.values() for name in variants))
    parser.add_argument("--rows", nargs="+", choices=names, help="only these; by default all of the network")
    parser.add_argument("--seeds", type=int, default=3)
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes-per-run", type=float, default=1.3, help="of the costliest variant, at the first call"
    )
    length.add_argument("--steps", type=int, help="of each run, instead of minutes")
    parser.add_argument("--pretrain", type=int, default=8, help="steps of pre-training, in lengths of a run")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--judge", type=int, default=1000, help="faces of the test set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, choices=(0, 1), default=1, help="other processes that draw crops")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="draw the AUC of every variant here")


def run(args: argparse.Namespace) -> int:
    """Train what is missing, seed by seed, and print the table."""
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)  # a pool of threads that is forked into the worker would wait for itself for ever
    variants = VARIANTS[args.network]
    names = [name for name in variants if args.rows is None or name in args.rows]
    if not names:
        raise ValueError(f"--rows: the {args.network} network has none of {', '.join(args.rows)}")
    out, test = args.out / args.network, Crops(args.test)
    setting = setting_of(args, Crops(args.data), test, out / "setting.json")
    sets = judged(test, min(args.judge, len(test)))
    steps = int(str(setting["steps"]))
    start = pretrained(args, steps * args.pretrain, out / "pretrained.pt")
    scores: dict[str, list[Score]] = {name: [] for name in names}
    jobs = [(name, seed) for seed in range(1, args.seeds + 1) for name in names]
    for name, seed in tqdm(jobs, unit="run", mininterval=0):
        plan = Plan(variants[name], steps, seed, args.batch, steps * args.pretrain)
        stream, row = batches(args.data, plan, args.workers), out / f"{name}-{seed}.json"
        scores[name].append(outcome_of(plan, stream, sets, row, start))
    paid = costs({name: variants[name] for name in names})
    lines = [Line(name, np.array([figures(s) for s in found]), paid[name]) for name, found in scores.items()]
    setting |= {"seeds": args.seeds, "tested": len(sets[AUCS[0]].crops)}
    print(", ".join(f"{name} {value}" for name, value in setting.items()))
    print("\n".join(table(lines)))
    if args.json:
        args.json.write_text(as_json(lines, scores, setting), encoding="utf-8")
    if args.plot:
        plot(lines, args.plot)
    return 0

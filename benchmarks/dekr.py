"""HRNet and DEKR on this machine's processor: the official network, ours merged, and its graphs, side by side.

`python benchmarks/dekr.py [--size 512] [--threads 1] [--configs w32 w16s]`. All in one process, each run once a round
by turns, so that other load falls on all alike; the least of the rounds counts, with one thread in time of the
processor, with more by the wall. Weights are made up: this says how
long a network takes, not how well it finds joints. int8 is calibrated on made-up pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from export.arguments import frame_size
from export.cost import multiplications
from export.dekr import CONFIGS, DEKR, DekrConfig, parameters_millions
from export.dekr.graph import frozen, to_int8, to_onnx
from export.dekr.official import Official, by_gathering, load_official, made_up
from export.nfd_parity import pictures

GOAL = 10  # times as fast as the official network, the seed's W32 at 512
SEED = 1

Call = Callable[[], object]
Timed = Mapping[str, tuple[Call, float]]


def calls(config: DekrConfig, images: torch.Tensor, threads: int, *, official: bool) -> Timed:
    """What is timed of one size, by name, each with its MB."""
    found: dict[str, tuple[Call, float]] = {}
    state = made_up(config, SEED)
    ours = load_official(state, config)
    size_px, float_mb = (images.shape[3], images.shape[2]), parameters_millions(ours) * 4
    if official:
        found["official, torch, taps gathered"] = partial(Official(state, config, by_gathering), images), float_mb
        found["official, torch, grid_sample"] = partial(Official(state, config), images), float_mb
    run = frozen(ours)
    found["merged, torch"] = partial(run, images), float_mb
    plain = stirred(DEKR(replace(config, head="plain")))
    for head, network in (("DeformConv", ours), ("plain head", plain)):
        fp32 = to_onnx(network, size_px)
        calibration = [pictures(1, size_px, torch.Generator().manual_seed(seed)).numpy() for seed in range(2)]
        for precision, graph in (("", fp32), (", int8", to_int8(fp32, calibration))):
            session = _session(graph, threads)
            feed = {"images": images.numpy()}
            found[f"ONNX Runtime, {head}{precision}"] = partial(session.run, None, feed), len(graph) / 1e6
    return found


@torch.no_grad()
def stirred(network: DEKR) -> DEKR:
    """A network whose normalisations all differ, as trained ones do: equal biases would share one int8 constant."""
    generator = torch.Generator().manual_seed(SEED)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.3, 1, generator=generator)
            module.bias.normal_(0, 0.2, generator=generator)
    return network.eval()


def _session(graph: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def least_s(named: Timed, rounds: int, clock: Callable[[], float]) -> dict[str, tuple[float, float]]:
    """Least and median seconds of each over the rounds, after one to warm up."""
    took: dict[str, list[float]] = {name: [] for name in named}
    for number in range(rounds + 1):
        for name, (call, _) in named.items():
            begun_s = clock()
            call()
            if number:
                took[name].append(clock() - begun_s)
    return {name: (min(times), float(np.median(times))) for name, times in took.items()}


def main() -> None:
    """Print a table a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", choices=tuple(CONFIGS), default=["w32"])
    parser.add_argument("--size", type=frame_size, default=(512, 512), help="WxH in px, or one number")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    images = pictures(1, args.size, torch.Generator().manual_seed(SEED))
    base_s: list[float] = []
    for name in args.configs:
        network = DEKR(CONFIGS[name]).eval()
        cost = multiplications(network, images) / 1e9
        print(f"\n{name} at {args.size[0]}x{args.size[1]}, {args.threads} thread(s): ", end="")
        print(f"{parameters_millions(network):.2f} M parameters, {cost:.2f} G multiplications")
        with torch.inference_mode():
            named = calls(CONFIGS[name], images, args.threads, official=not base_s)
            times = least_s(named, args.rounds, clock)
        base_s = base_s or [least for least, _ in times.values()][:2]
        print(f"{'':36s} {'least ms':>9s} {'median':>8s} {'MB':>6s}   of the official {args.configs[0]}'s time:")
        for what, (least, median) in times.items():
            told = f"{1e3 * least:9.0f} {1e3 * median:8.0f} {named[what][1]:6.1f}"
            gathered, sampled = (seconds / least for seconds in base_s)
            print(f"{what:36s} {told}   1/{gathered:.1f} gathered, 1/{sampled:.1f} grid_sample")
    print(f"\nThe goal is 1/{GOAL} of the official network's time.")


if __name__ == "__main__":
    main()

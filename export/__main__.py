"""`python -m export COMMAND`: from renders to released models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "synthesize": ("export.synthesize", "render image sets and clips of the synthetic newborn, with truth"),
    "breaths": ("export.respiration.synthesize", "render clips of breathing newborns as a device reads them"),
    "datasets": ("export.face_statistics", "say what annotated sets of faces hold, and how they are split"),
    "train": ("export.train", "train a network on renders"),
    "export": ("export.onnx_export", "write a network as an ONNX graph"),
    "evaluate": ("export.evaluate", "measure a released model on unseen infants and adults"),
    "quantize": ("export.quantize", "make an int8 graph of an fp32 one"),
    "parity": ("export.parity", "check that the graphs agree with the network they were made from"),
    "nfd-train": ("export.nfd_training", "train the seed's network by the seed's schedule"),
    "nfd-parity": ("export.nfd_parity", "check the graphs of the seed's network against it, for both backbones"),
    "dekr-export": ("export.dekr.graph", "write HRNet and DEKR as an ONNX graph"),
    "dekr-parity": ("export.dekr.parity", "check HRNet and DEKR, and its graphs, against the official network"),
    "nbhr-train": ("export.nbhr_training", "train NBHRnet by its three stages"),
    "ablate-face": ("export.ablation", "train the seed's network with and without its modules and compare"),
    "ablate-attention": ("export.attention_ablation", "train expression networks with each form of attention"),
    "fit-heart-rate": ("export.heart_rate.fit", "fit the quality of a heart rate on made traces"),
    "fit-nights": ("export.nights.fit", "measure on clips how the expression network errs over time"),
    "release": ("export.release", "export, calibrate, quantize, measure and write what a device loads"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its module is imported only then."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser("python -m export")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, told) in COMMANDS.items():
        sub = commands.add_parser(name, help=told)
        if name in words[:1]:
            import_module(module).add_arguments(sub)
    args = parser.parse_args(words)
    try:
        return int(import_module(COMMANDS[args.command][0]).run(args))
    except ValueError as error:
        sys.stderr.write(f"export: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())

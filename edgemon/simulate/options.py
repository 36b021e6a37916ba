"""The words of `edgemon simulate`."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from random import SystemRandom

from edgemon.errors import ConfigError
from edgemon.simulate.device import MAX_BEDS, Ward

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What may be said."""
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="broker and certificates from its section mqtt")
    add("--host", default="127.0.0.1", help="the broker, where there is no --config")
    add("--port", type=int, default=1883)
    add("--site", default="sim", help="level of the topics (default sim)")
    add("--unit", default="ward", help="level of the topics (default ward)")
    add("--devices", type=int, default=20, metavar="N", help="how many (default 20)")
    add("--beds-per-device", type=int, default=1, metavar="N", help=f"1..{MAX_BEDS} (default 1)")
    add("--rate", type=float, default=1.0, metavar="R", help="seconds of the ward a second (default 1)")
    add("--duration-s", type=float, metavar="S", help="end after S seconds (default: until stopped)")
    add("--seed", type=int, metavar="N", help="the same wards again (default: drawn and told)")
    add("--faults", type=float, default=0.05, metavar="SHARE", help="of the time, 0..1 (default 0.05)")
    add("--nurse-s", type=float, default=90.0, metavar="S", help="until simulated staff answer; 0: never (default 90)")
    add("--connections", type=int, metavar="N", help="to the broker; as many as devices: with last wills")
    add("--no-receipts", action="store_true", help="the broker's PUBACK delivers, not a station's receipt")
    add("--grace-s", type=float, default=30.0, metavar="S", help="at the end, for what waits (default 30)")
    add("--json-report", type=Path, metavar="FILE", help="figures, and every durable id")


def ward(args: argparse.Namespace) -> Ward:
    """The ward that was asked for.

    With a rate other than 1 its clocks begin so that they are right at the end, so it must be known when that is.

    Raises:
        ConfigError: a value that makes no sense.
    """
    _require(args.devices >= 1, f"--devices must be at least 1, got {args.devices}")
    _require(1 <= args.beds_per_device <= MAX_BEDS, f"--beds-per-device is 1..{MAX_BEDS}, got {args.beds_per_device}")
    _require(0 < args.rate <= 1000, f"--rate must be above 0 and up to 1000, got {args.rate}")
    _require(args.rate == 1.0 or args.duration_s is not None, "--rate other than 1 needs --duration-s")
    _require(args.duration_s is None or args.duration_s > 0, f"--duration-s must be above 0, got {args.duration_s}")
    _require(0 <= args.faults <= 0.9, f"--faults must be within 0..0.9, got {args.faults}")
    _require(args.nurse_s >= 0 and args.grace_s >= 0, "--nurse-s and --grace-s must not be below 0")
    _require(args.connections is None or args.connections >= 1, f"--connections is at least 1, got {args.connections}")
    _require(args.seed is None or args.seed >= 0, f"--seed must not be below 0, got {args.seed}")
    for level in (args.site, args.unit):
        _require(bool(_NAME.fullmatch(level)), f"--site and --unit are small letters, digits and -, got {level!r}")
    now_s = time.time()
    ahead_s = (args.rate - 1) * (args.duration_s or 0.0)
    return Ward(
        devices=args.devices, beds_per_device=args.beds_per_device, faults=args.faults, nurse_s=args.nurse_s,
        seed=SystemRandom().randrange(2**31) if args.seed is None else args.seed,
        epoch_ms=round(1000 * (now_s - ahead_s)), session=int(now_s), site=args.site, unit=args.unit,
        delivery="puback" if args.no_receipts else "receipt",
    )  # fmt: skip


def _require(ok: bool, what: str) -> None:
    if not ok:
        raise ConfigError(what)

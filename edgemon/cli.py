"""`edgemon COMMAND`: each is one row of a table and one small function, which imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from edgemon import __version__, config
from edgemon.errors import EdgemonError
from edgemon.signals import stopped_by_signals

if TYPE_CHECKING:
    from edgemon.station.settings import StationConfig

Parser = argparse.ArgumentParser


@dataclass(frozen=True, slots=True)
class Command:
    """One word of the command line."""

    name: str
    help: str
    arguments: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int]


def _config(parser: Parser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the YAML configuration")


def _run(args: argparse.Namespace) -> int:
    from edgemon.daemon import Daemon

    return Daemon(config.load(args.config), duration_s=args.duration_s).run()


def _run_arguments(parser: Parser) -> None:
    _config(parser)
    parser.add_argument("--duration-s", type=float, metavar="S", help="end by itself after S seconds")


def _check(args: argparse.Namespace) -> int:
    from edgemon.check import check

    for line in check(config.load(args.config)):
        print(line)
    print(f"{args.config}: good")
    return 0


def _replay(args: argparse.Namespace) -> int:
    from edgemon.replay import replay

    settings = config.load(args.config) if args.config else config.Config()
    return replay(
        settings, args.video, as_json=args.json, out=sys.stdout, progress=sys.stderr,
        movement=args.movement, plot=args.plot,
    )  # fmt: skip


def _replay_arguments(parser: Parser) -> None:
    parser.add_argument("video", help="a video file, or 'clip' for the bundled one")
    parser.add_argument("--json", action="store_true", help="one message a line")
    parser.add_argument("--config", type=Path, metavar="FILE", help="alarm limits, cadence and models from here")
    parser.add_argument(
        "--movement", type=Path, metavar="FILE", help="write movement features for research: .csv or .parquet"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw poses, states and heart rate: .png or .svg")


def _watch(args: argparse.Namespace) -> int:
    from edgemon.watch import watch

    stop = threading.Event()
    with stopped_by_signals(stop):
        watch(
            config.load(args.config).mqtt if args.config else config.Mqtt(host=args.host, port=args.port),
            site=args.site, unit=args.unit, device=args.device, as_json=args.json, receipts=args.receipts,
            duration_s=args.duration_s, out=sys.stdout, stop_event=stop,
        )  # fmt: skip
    return 0


def _watch_arguments(parser: Parser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="broker and certificates from its section mqtt")
    parser.add_argument("--host", default="127.0.0.1", help="the broker, where there is no --config")
    parser.add_argument("--port", type=int, default=1883)
    for level in ("site", "unit", "device"):
        parser.add_argument(f"--{level}", default="+", help="only this one (default: all)")
    parser.add_argument("--json", action="store_true", help="one message a line")
    parser.add_argument("--receipts", action="store_true", help="answer what was shown, as a station does")
    parser.add_argument("--duration-s", type=float, metavar="S", help="end by itself after S seconds")


def _demo(args: argparse.Namespace) -> int:
    from edgemon.demo import demo

    return demo(args.source, duration_s=args.duration_s)


def _demo_arguments(parser: Parser) -> None:
    parser.add_argument("--source", default="clip", help="clip | 0 (webcam) | FILE | rtsp://...")
    parser.add_argument("--duration-s", type=float, metavar="S", help="end by itself after S seconds")


def _doctor(args: argparse.Namespace) -> int:
    from edgemon.doctor import main as doctor

    return doctor(args.config)


def _bench(args: argparse.Namespace) -> int:
    from edgemon.bench import bench, select

    if args.select:
        return select(args.models, json_file=args.json)
    return bench(args.seconds, args.models, json_file=args.json)


def _bench_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="of the bundled clip to run (default 10)"
    )
    parser.add_argument(
        "--select", action="store_true", help="say which precision of each model to use on this machine, and why"
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="another folder of models")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def _schema(args: argparse.Namespace) -> int:
    from edgemon.messages import schema

    for path in schema.write(args.out):
        print(path)
    return 0


def _schema_arguments(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="JSON Schemas and asyncapi.json go here")


def _models(args: argparse.Namespace) -> int:
    from edgemon.catalogue import describe

    for line in describe(args.models):
        print(line)
    return 0


def _models_arguments(parser: Parser) -> None:
    parser.add_argument("--models", type=Path, metavar="DIR", help="another folder of models")


def _simulate(args: argparse.Namespace) -> int:
    from edgemon.simulate.options import ward
    from edgemon.simulate.play import simulate

    settings = config.load(args.config).mqtt if args.config else config.Mqtt(host=args.host, port=args.port)
    stop = threading.Event()
    with stopped_by_signals(stop):
        return simulate(
            settings, ward(args), duration_s=args.duration_s, rate=args.rate, connections=args.connections,
            grace_s=args.grace_s, json_report=args.json_report, stop=stop,
        )  # fmt: skip


def _simulate_arguments(parser: Parser) -> None:
    from edgemon.simulate.options import arguments

    arguments(parser)


def _station_config(args: argparse.Namespace) -> StationConfig:
    from edgemon.station import settings

    config = settings.load(args.config) if args.config else settings.StationConfig()
    http = {name: value for name in ("host", "port") if (value := getattr(args, name)) is not None}
    return settings.changed(config, http, store_url=args.store)


def _station(args: argparse.Namespace) -> int:
    from edgemon.station.run import run

    return run(_station_config(args), say=lambda text: print(text, flush=True))


def _station_user(args: argparse.Namespace) -> int:
    from edgemon.station.users import change

    return change(_station_config(args), args.act, args.name, role=args.role, password_file=args.password_file)


def _station_export(args: argparse.Namespace) -> int:
    from edgemon.station.export import export

    for path in export(_station_config(args), args.place, args.day, args.out, args.format):
        print(path)
    return 0


def _station_arguments(parser: Parser) -> None:
    _station_store(parser, default=None)
    parser.add_argument("--host", help="where browsers find it (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="(default 8080)")
    words = parser.add_subparsers(dest="word", metavar="[user | export]")
    _station_export_arguments(words.add_parser("export", help="write a bed's day into files, one a table"))
    acts = words.add_parser("user", help="add or change a local user").add_subparsers(dest="act", required=True)
    for act, help_text in (
        ("add", "let somebody in"), ("role", "change what somebody may do"), ("password", "give a new password"),
        ("disable", "let somebody in no more"),
        ("enable", "let somebody in again"),
    ):  # fmt: skip
        one = acts.add_parser(act, help=help_text)
        one.add_argument("name", metavar="NAME")
        if act in ("add", "role"):
            one.add_argument("--role", choices=("view", "acknowledge", "administer"), required=act == "role")
        if act in ("add", "password"):
            one.add_argument("--password-file", type=Path, metavar="FILE", help="(default: asked for)")
        one.set_defaults(run=_station_user, role=None, password_file=None)


def _station_store(parser: Parser, default: str | None) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=default, help="the YAML configuration of the station"
    )
    parser.add_argument(
        "--store", metavar="URL", default=default,
        help="sqlite:///FILE (default station.db) | postgresql://USER@HOST/NAME",
    )  # fmt: skip


def _station_export_arguments(parser: Parser) -> None:
    _station_store(parser, default=argparse.SUPPRESS)  # they may stand before the word, or behind it
    parser.add_argument("--place", required=True, metavar="SITE/UNIT/DEVICE/BED")
    parser.add_argument("--day", required=True, type=date.fromisoformat, metavar="YYYY-MM-DD", help="of UTC")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.set_defaults(run=_station_export)


COMMANDS = (
    Command("run", "watch the cots of a configuration until told to stop", _run_arguments, _run),
    Command("check", "say whether a configuration and its models are good (exit 2 or 4 if not)", _config, _check),
    Command("replay", "run a video as fast as possible on its own clock", _replay_arguments, _replay),
    Command("watch", "subscribe and show what devices say", _watch_arguments, _watch),
    Command("demo", "the whole flow on one machine: broker, daemon, table", _demo_arguments, _demo),
    Command("station", "the nurse station: a page for a ward, and what it runs on", _station_arguments, _station),
    Command("doctor", "look for what is wrong on this machine, each with its remedy", _config, _doctor),
    Command("bench", "time every stage and model on this machine", _bench_arguments, _bench),
    Command("simulate", "play wards of many devices, to load or try a station", _simulate_arguments, _simulate),
    Command("schema", "write the JSON Schemas and the AsyncAPI document", _schema_arguments, _schema),
    Command("models", "list the models: origin, licence, measured quality", _models_arguments, _models),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every foreseen failure is one line on stderr and its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = Parser("edgemon", description="Newborn monitoring at the cot. Not a medical device.")
    parser.add_argument("--version", action="version", version=f"edgemon {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.help)
        sub.set_defaults(run=command.run)
        if command.name in words[:1]:  # the others' arguments need not be imported
            command.arguments(sub)
    args = parser.parse_args(words)
    try:
        return int(args.run(args))
    except EdgemonError as error:
        print(f"edgemon: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away: nothing is lost and nobody reads an error
        sys.stderr.close()
        return 0

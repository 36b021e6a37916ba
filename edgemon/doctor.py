"""What is wrong on this machine, and what to do about it: one finding a line, each with its remedy."""

from __future__ import annotations

import os
import re
import socket
import ssl
import stat
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgemon import config as configuration
from edgemon import health, manifest
from edgemon.config import Bed, Config, Mqtt
from edgemon.errors import ConfigError, EdgemonError, SourceError
from edgemon.frames import gives_depth, open_source
from edgemon.inference import Model
from edgemon.observations.pose_network import LOOKS
from edgemon.vision import LONG_S

CAMERA_WITHIN_S = 20.0
BROKER_WITHIN_S = 10.0
FREE_WARN_BYTES = 512 * 2**20
WARM_C = 70.0
POSE_SHARE = 0.35  # of the vision thread's time; more, and faces are looked at late
ORT_BELOW = (1, 29)  # from here on the wheels write a device id and look up a host at import

_ROOT = Path("/")
_ALL_NODES = (("dev/video*", True), ("dev/media*", True), ("dev/dma_heap/*", True), ("dev/dri/renderD*", False))


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw, and the remedy where it is not well."""

    check: str
    verdict: Verdict
    what: str
    remedy: str = ""


def run(source: Config | Path) -> tuple[Finding, ...]:
    """Every check on this machine, for a configuration or the file that holds it."""
    if isinstance(source, Path):
        try:
            source = configuration.load(source)
        except ConfigError as error:
            return tuple(_told("config", line, "correct the file") for line in str(error).splitlines())
    return tuple(finding for check in CHECKS for finding in check(source))


def report(findings: Iterable[Finding]) -> str:
    """The findings as text, one a line."""
    return "".join(
        f"{one.verdict:<4}  {one.check:<11}  {one.what}{f'  -> {one.remedy}' if one.remedy else ''}\n"
        for one in findings
    )


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when nothing failed, else 1."""
    return int(any(one.verdict is Verdict.FAIL for one in findings))


def main(path: Path) -> int:
    """`edgemon doctor`: print the findings."""
    findings = run(path)
    sys.stdout.write(report(findings))
    return exit_code(findings)


def _told(check: str, error: object, otherwise: str) -> Finding:
    # our errors end with what would be right, after the last semicolon
    what, _, remedy = str(error).rpartition("; ")
    return Finding(check, Verdict.FAIL, what or str(error), remedy if what else otherwise)


def _bounded(work: Callable[[], Finding], limit_s: float, late: Finding) -> Finding:
    """What the work finds, or `late`: a device that hangs is abandoned with its thread."""
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.append(work()), name=f"doctor {late.check}", daemon=True)
    thread.start()
    thread.join(limit_s)
    return found[0] if found else late


def cameras(config: Config) -> Iterator[Finding]:
    """Whether each camera opens and gives a frame in time; once, however many beds it watches."""
    for bed, *others in config.cameras:
        names = " and ".join(one.id for one in (bed, *others))
        name = f"bed {names}: {re.sub(r'//[^/]*@', '//', bed.source)}"
        late = Finding(
            "camera", Verdict.FAIL, f"{name}: no frame within {CAMERA_WITHIN_S:.0f} s",
            "stop what else uses it, re-seat its cable, reboot if it hangs",
        )  # fmt: skip
        yield _bounded(partial(_camera, bed, name), CAMERA_WITHIN_S, late)


def _camera(bed: Bed, name: str) -> Finding:
    try:
        source = open_source(bed, paced=False)
        source.open()
        try:
            frame = source.read()
        finally:
            source.close()
    except SourceError as error:
        return _told("camera", f"bed {bed.id}: {error}", "check the source of this bed")
    if frame is None:
        return Finding("camera", Verdict.FAIL, f"{name}: ends before its first frame", "give a video that holds frames")
    height, width = frame.image.shape[:2]
    return Finding("camera", Verdict.OK, f"{name}: gives {width}x{height} px")


def models(config: Config) -> Iterator[Finding]:
    """Whether each model is the released one, loads and runs."""
    folder = config.models.folder or manifest.default_folder()
    for name in dict.fromkeys(config.models.names):
        try:
            model = Model.open(folder, name, config.models.threads)
        except EdgemonError as error:
            yield _told("models", error, "restore the model from the release")
        else:
            digest = model.manifest.sha256[:12]
            yield Finding(
                "models", Verdict.OK, f"{model.manifest.label} loads and runs, SHA-256 {digest}... as released"
            )
            if name == config.models.pose:
                yield pose_load(config, _run_s(model))
                yield from _pose_fits(config, model.manifest.label, depth=model.manifest.input.colour == "depth")


def _pose_fits(config: Config, label: str, *, depth: bool) -> Iterator[Finding]:
    """Whether each camera gives what the pose network was taught: colour or depth."""
    others = [bed.id for bed in config.beds if gives_depth(bed.source) is not depth]
    if others:
        reads, given = ("depth", "colour") if depth else ("colour", "depth")
        yield Finding(
            "models", Verdict.WARN, f"{label} reads {reads}, and {', '.join(others)} gives {given}: no pose there",
            "name a pose model of depth and sources depth:FOLDER or depth:/dev/videoN, or both of colour",
        )  # fmt: skip


def pose_load(config: Config, run_s: float) -> Finding:
    """Whether this board has time for the pose network, which takes so long for one look; it looks twice."""
    run_s *= LOOKS
    pictures = 1 if config.pose.mode == "grid" else len(config.cameras)
    share = run_s * pictures * config.cadence.pose_hz
    look_s = run_s * (pictures if config.pose.mode == "batch" else 1)
    what = f"pose takes {1000 * run_s:.0f} ms a picture, {100 * share:.0f} % of the time"
    if share <= POSE_SHARE and look_s <= LONG_S:
        return Finding("models", Verdict.OK, what)
    return Finding("models", Verdict.WARN, what, "lower cadence.pose_hz, or set pose.mode: grid for several cameras")


def _run_s(model: Model) -> float:
    tensor, taken_s = np.zeros(model.manifest.input.sized(), np.float32), []
    for _ in range(5):
        begun_s = time.monotonic()
        model(tensor)
        taken_s.append(time.monotonic() - begun_s)
    return statistics.median(taken_s)


def onnx_runtime(_config: Config) -> Iterator[Finding]:
    """Whether ONNX Runtime is of a version that stays silent."""
    version = tuple(int(part) for part in re.findall(r"\d+", ort.__version__)[:2])
    silent = os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
    what = f"onnxruntime {ort.__version__}, telemetry {'off' if silent else 'not switched off'}"
    if version >= ORT_BELOW:
        yield Finding("onnxruntime", Verdict.FAIL, what, "pip install 'onnxruntime>=1.25,<1.29'")
    elif not silent:
        yield Finding("onnxruntime", Verdict.WARN, what, "set ORT_DISABLE_TELEMETRY=1 in the environment")
    else:
        yield Finding("onnxruntime", Verdict.OK, what)


def clock(config: Config) -> Iterator[Finding]:
    """Whether the wall clock can be believed; a certificate cannot be checked with a wrong one."""
    source = health.clock_source(_ROOT, health.kernel_clock_synced(), time.time())
    if source == "ntp":
        yield Finding("clock", Verdict.OK, "synchronised over the network")
    elif source == "rtc":
        yield Finding("clock", Verdict.WARN, "from the hardware clock only", "sudo timedatectl set-ntp true")
    else:
        verdict = Verdict.WARN if config.mqtt.tls is None else Verdict.FAIL
        yield Finding(
            "clock", verdict, "not synchronised", "sudo timedatectl set-ntp true, or name the site's time server"
        )


def secrets(config: Config) -> Iterator[Finding]:
    """Whether the files of the broker's login are there and hidden from other users."""
    tls = config.mqtt.tls
    private = (config.mqtt.password_file, tls.key_file if tls else None)
    public = (tls.ca_file, tls.cert_file) if tls else ()
    for path in (*private, *public):
        if path is None:
            continue
        try:
            mode = path.stat().st_mode
            with path.open("rb"):
                pass
        except OSError as error:
            yield Finding(
                "secrets", Verdict.FAIL, f"{path}: {error.strerror}", "put it there, readable by the service's user"
            )
            continue
        if path in private and mode & stat.S_IRWXO:
            yield Finding("secrets", Verdict.FAIL, f"{path}: everybody may read it", f"chmod o= {path}")
        else:
            yield Finding("secrets", Verdict.OK, str(path))


def broker(config: Config) -> Iterator[Finding]:
    """Whether the broker takes a connection: TCP, TLS, CONNECT."""
    at = f"{config.mqtt.host}:{config.mqtt.port}"
    late = Finding(
        "broker", Verdict.FAIL, f"{at}: no answer within {BROKER_WITHIN_S:.0f} s", "check the address and the firewall"
    )
    yield _bounded(partial(_broker, config, at), BROKER_WITHIN_S, late)


# The first kind that fits is told: the narrow ones stand first.
_REFUSALS: tuple[tuple[type[OSError], str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "give the CA that signed the broker's certificate (mqtt.tls.ca_file) and its true name",
    ),
    (ssl.SSLError, "check that this port speaks TLS, and the certificate, key and CA files"),
    (FileNotFoundError, "put the file there, or correct its path"),
    (PermissionError, "let the service's user read the file, or let the unit reach this address"),
    (ConnectionRefusedError, "start the broker, or correct mqtt.port"),
    (ConnectionError, "check whether this port speaks TLS and MQTT"),
    (TimeoutError, "check the address, the firewall and whether this port speaks TLS"),
    (OSError, "correct mqtt.host, or the network"),
)


def _broker(config: Config, at: str) -> Finding:
    answers: list[ReasonCode] = []

    def on_connect(_c: paho.Client, _d: object, _f: paho.ConnectFlags, code: ReasonCode, _p: Properties | None) -> None:
        answers.append(code)

    try:
        context = _tls(config.mqtt)
        _handshake(config.mqtt, context)
        client = _client(config, context)
        client.on_connect = on_connect
        client.connect(config.mqtt.host, config.mqtt.port, keepalive=5)
        end_s = time.monotonic() + BROKER_WITHIN_S / 2
        while not answers and time.monotonic() < end_s and client.loop(0.2) is MQTTErrorCode.MQTT_ERR_SUCCESS:
            pass
        client.disconnect()
    except (OSError, ValueError) as error:
        remedy = next((remedy for kind, remedy in _REFUSALS if isinstance(error, kind)), _REFUSALS[-1][1])
        return Finding("broker", Verdict.FAIL, f"{at}: {getattr(error, 'strerror', None) or error}", remedy)
    if not answers:
        remedy = "check the client certificate, and whether this port speaks TLS and MQTT"
        return Finding("broker", Verdict.FAIL, f"{at}: connects, then closes or stays silent", remedy)
    if answers[0].is_failure:
        remedy = "check mqtt.username, mqtt.password_file, the certificate's CN and mqtt.protocol"
        return Finding("broker", Verdict.FAIL, f"{at}: refuses the login: {answers[0]}", remedy)
    plain = config.mqtt.tls is None and config.mqtt.host not in ("127.0.0.1", "::1", "localhost")
    if plain:
        return Finding(
            "broker", Verdict.WARN, f"{at}: takes us, but nothing is encrypted", "set mqtt.tls (docs/deploy.md)"
        )
    return Finding("broker", Verdict.OK, f"{at}: takes us, MQTT {config.mqtt.protocol}")


def _tls(mqtt: Mqtt) -> ssl.SSLContext | None:
    if mqtt.tls is None:
        return None
    context = ssl.create_default_context(cafile=mqtt.tls.ca_file)
    if mqtt.tls.cert_file is not None:
        context.load_cert_chain(mqtt.tls.cert_file, mqtt.tls.key_file)
    return context


def _handshake(mqtt: Mqtt, context: ssl.SSLContext | None) -> None:
    # paho leaves the socket of a failed handshake open, so that it fails here first
    with socket.create_connection((mqtt.host, mqtt.port), timeout=BROKER_WITHIN_S / 2) as plain:
        if context is not None:
            context.wrap_socket(plain, server_hostname=mqtt.host).close()


def _client(config: Config, context: ssl.SSLContext | None) -> paho.Client:
    # a client id of its own: the daemon's would take over its session
    protocol = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}[config.mqtt.protocol]
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"{config.device}-doctor", protocol=protocol)
    client.connect_timeout = BROKER_WITHIN_S / 2
    if config.mqtt.username is not None:
        client.username_pw_set(config.mqtt.username, _password(config.mqtt))
    if context is not None:
        client.tls_set_context(context)
    return client


def _password(mqtt: Mqtt) -> str | None:
    return None if mqtt.password_file is None else mqtt.password_file.read_text(encoding="utf-8").strip()


def disk(config: Config) -> Iterator[Finding]:
    """Whether the state folder can be written to and has room for a full outbox."""
    folder = config.state_dir
    if not folder.is_dir():
        yield Finding(
            "disk", Verdict.WARN, f"{folder}: not there yet", "systemd makes it; by hand: mkdir -p, mode 0700"
        )
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"edgemon")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        remedy = "run as the service's user (sudo -u edgemon), or free the disk"
        yield Finding("disk", Verdict.FAIL, f"{folder}: cannot be written to: {error.strerror}", remedy)
        return
    free = health.storage_free_bytes(folder) or 0
    what = f"{folder}: {free / 1e6:.0f} MB free"
    if free < config.mqtt.outbox_max_bytes:
        yield Finding(
            "disk", Verdict.FAIL, f"{what}, a full outbox needs more", "free the disk, or lower mqtt.outbox_max_bytes"
        )
    elif free < FREE_WARN_BYTES:
        yield Finding("disk", Verdict.WARN, what, "free the disk")
    else:
        yield Finding("disk", Verdict.OK, what)


def board(_config: Config, root: Path = _ROOT) -> Iterator[Finding]:
    """Whether the board is cool and has enough power, where it tells."""
    degrees, bits = health.temperature_c(root), health.throttled(root)
    if degrees is None:
        yield Finding("temperature", Verdict.OK, "this board does not tell")
    else:
        verdict = Verdict.FAIL if degrees >= health.HOT_C else Verdict.WARN if degrees >= WARM_C else Verdict.OK
        remedy = "" if verdict is Verdict.OK else "fit a heat sink or fan, and keep it out of the incubator's warmth"
        yield Finding("temperature", verdict, f"{degrees:.0f} degrees C", remedy)
    if bits is None:
        yield Finding("power", Verdict.OK, "this board does not tell")
    elif bits & health.UNDERVOLTAGE:
        yield Finding(
            "power", Verdict.FAIL, f"undervoltage now ({bits:#x})", "use the board's own power supply and a short cable"
        )
    elif bits:
        remedy = "since boot: look at the power supply and the cooling"
        yield Finding("power", Verdict.WARN, f"throttled, capped or undervolted ({bits:#x})", remedy)
    else:
        yield Finding("power", Verdict.OK, "steady, not throttled")


def devices(config: Config, root: Path = _ROOT, usable: Callable[[Path], bool] | None = None) -> Iterator[Finding]:
    """Whether this user may open the device nodes of the cameras: groups video and render."""
    usable = usable or (lambda node: os.access(node, os.R_OK | os.W_OK))
    for pattern, needed in dict.fromkeys(_patterns(config)):
        nodes = sorted(root.glob(pattern))
        locked = [node for node in nodes if not usable(node)]
        verdict = Verdict.FAIL if needed else Verdict.WARN
        if locked:
            group = "render" if "dri" in pattern else "video"
            remedy = f"sudo usermod -aG {group} edgemon (or this user), then log in again"
            yield Finding("groups", verdict, f"{locked[0]}: this user may not use it", remedy)
        elif nodes:
            yield Finding("groups", Verdict.OK, f"/{pattern}: this user may use them")
        elif needed:
            yield Finding(
                "groups",
                verdict,
                f"/{pattern}: there is none",
                "plug the camera in; look with rpicam-hello --list-cameras",
            )


def _patterns(config: Config) -> Iterator[tuple[str, bool]]:
    for bed in config.beds:
        if bed.source.startswith("picamera"):
            yield from _ALL_NODES
        elif number := re.fullmatch(r"(?:(?:depth:)?/dev/video)?(\d+)", bed.source):
            yield f"dev/video{number[1]}", True


CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    devices, cameras, models, onnx_runtime, clock, secrets, broker, disk, board,
)  # fmt: skip

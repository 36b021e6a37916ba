"""The doctor at real patients: video files, ports that hang, a real broker with certificates, boards as file trees."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from conftest import eventually, free_port

from edgemon import doctor
from edgemon.config import Bed, Config, Models, Mqtt, Tls
from edgemon.doctor import Finding, Verdict

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


def _one(findings: Iterator[Finding]) -> Finding:
    (found,) = findings
    return found


def _verdicts(findings: Iterator[Finding]) -> list[Verdict]:
    return [found.verdict for found in findings]


# Cameras


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three grey pictures as motion JPEG."""
    path = tmp_path / "three.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (320, 240))
    for _ in range(3):
        writer.write(np.full((240, 320, 3), 128, np.uint8))
    writer.release()
    return path


def test_a_camera_that_gives_a_frame_is_well(video: Path) -> None:
    found = _one(doctor.cameras(Config(beds=(Bed(id="cot-1", source=str(video)),))))
    assert found == Finding("camera", OK, f"bed cot-1: {video}: gives 640x480 px")


def test_each_bed_is_told_apart(video: Path) -> None:
    beds = (Bed(id="cot-1", source=str(video)), Bed(id="cot-2", source=str(video.with_name("absent.mp4"))))
    assert _verdicts(doctor.cameras(Config(beds=beds))) == [OK, FAIL]


def test_a_video_that_cannot_be_decoded_is_told_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(b"\0" * 100)
    found = _one(doctor.cameras(Config(beds=(Bed(id="cot-1", source=str(path)),))))
    assert found.verdict is FAIL
    assert str(path) in found.what
    assert found.remedy


def test_the_password_of_a_network_camera_is_not_shown() -> None:
    bed = Bed(id="cot-1", source=f"rtsp://nurse:s3cret@127.0.0.1:{free_port()}/main")
    found = _one(doctor.cameras(Config(beds=(bed,))))
    assert found.verdict is FAIL
    assert "s3cret" not in doctor.report([found])


def test_a_device_that_hangs_is_abandoned() -> None:
    release = threading.Event()
    late = Finding("camera", FAIL, "no frame", "reboot")

    def hangs() -> Finding:
        release.wait()
        return Finding("camera", OK, "too late")

    try:
        assert doctor._bounded(hangs, 0.05, late) == late
    finally:
        release.set()


def test_the_device_nodes_must_be_usable_by_this_user(tmp_path: Path) -> None:
    config = Config(beds=(Bed(id="cot-1", source="picamera"), Bed(id="cot-2", source="/dev/video3")))
    for name in ("dev/video0", "dev/video3", "dev/media0", "dev/dri/renderD128"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    locked = (tmp_path / "dev/video3", tmp_path / "dev/dri/renderD128")
    found = list(doctor.devices(config, tmp_path, usable=lambda node: node not in locked))
    told = [(one.verdict, one.what.replace(str(tmp_path), "")) for one in found]
    assert told == [
        (FAIL, "/dev/video3: this user may not use it"),
        (OK, "/dev/media*: this user may use them"),
        (FAIL, "/dev/dma_heap/*: there is none"),
        (WARN, "/dev/dri/renderD128: this user may not use it"),
        (FAIL, "/dev/video3: this user may not use it"),
    ]
    assert "-aG video" in found[0].remedy
    assert "-aG render" in found[3].remedy


def test_without_a_camera_no_device_is_needed(tmp_path: Path) -> None:
    assert list(doctor.devices(Config(), tmp_path)) == []


# Models


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models that give the mean of each colour channel."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0)],
        "mean",
        [helper.make_tensor_value_info("image", kind, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("mean", kind, [1, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    for task in ("face", "expression"):
        (tmp_path / f"{task}.onnx").write_bytes(data)
        (tmp_path / f"{task}.toml").write_text(f"""
            id = "{task}-mean"
            version = "1.0.0"
            sha256 = "{hashlib.sha256(data).hexdigest()}"
            precision = "fp32"
            task = "{task}"
            intended_use = "tests"
            [thresholds]
            score = 0.5
            [input]
            name = "image"
            shape = [1, 3, 8, 8]
            colour = "RGB"
            mean = [0.0, 0.0, 0.0]
            scale = [1.0, 1.0, 1.0]
            [[outputs]]
            name = "mean"
            meaning = "mean of each channel"
            [[origins]]
            data = "none"
            licence = "CC0-1.0"
            [[metrics]]
            name = "none"
            data = "none"
            condition = "none"
            value = 0.0
        """)
    return tmp_path


def test_released_models_are_well(folder: Path) -> None:
    found = list(doctor.models(Config(models=Models(folder=folder, pulse=None))))
    assert [one.verdict for one in found] == [OK, OK]
    assert "face-mean@1.0.0" in found[0].what


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "is empty"), (b"other bytes", "SHA-256"), (None, "cannot be read")]
)
def test_a_model_that_is_not_the_released_one_is_told(folder: Path, content: bytes | None, told: str) -> None:
    path = folder / "face.onnx"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    face, expression = doctor.models(Config(models=Models(folder=folder, pulse=None)))
    assert (face.verdict, expression.verdict) == (FAIL, OK)
    assert told in face.what
    assert face.remedy


def test_onnx_runtime_is_one_that_stays_silent() -> None:
    assert _one(doctor.onnx_runtime(Config())).verdict is OK


@pytest.mark.parametrize(("version", "verdict"), [("1.28.0", OK), ("1.29.0", FAIL), ("2.0.0rc1", FAIL)])
def test_onnx_runtime_that_telephones_home_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: str, verdict: Verdict
) -> None:
    monkeypatch.setattr("onnxruntime.__version__", version)
    assert _one(doctor.onnx_runtime(Config())).verdict is verdict


def test_onnx_runtime_without_the_switch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert _one(doctor.onnx_runtime(Config())).verdict is WARN


# The broker


class Broker:
    """mosquitto with a plain listener and one that asks for client certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.plain, self.tls = folder, free_port(), free_port()
        self._certificates()
        (folder / "password").write_text("right\n")
        subprocess.run(["mosquitto_passwd", "-b", "-c", "passwd", "edgemon", "right"], cwd=folder, check=True)
        (folder / "mosquitto.conf").write_text(
            f"user root\nper_listener_settings true\n"
            f"listener {self.plain} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/passwd\n"
            f"listener {self.tls} 127.0.0.1\ncafile {folder}/ca.crt\ncertfile {folder}/server.crt\n"
            f"keyfile {folder}/server.key\nrequire_certificate true\nuse_identity_as_username true\n"
        )

    def _certificates(self) -> None:
        def openssl(*words: str) -> None:
            subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for ca in ("ca", "other"):
            openssl(
                "req", "-x509", *key, "-days", "2", "-keyout", f"{ca}.key", "-out", f"{ca}.crt", "-subj", f"/CN={ca}"
            )
        for name in ("server", "device"):
            openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                    "-days", "2", "-extfile", "names", "-out", f"{name}.crt")  # fmt: skip

    def mqtt(self, *, ca: str = "ca", certificate: bool = True) -> Mqtt:
        """The settings of a device at the listener with certificates."""
        pair = {"cert_file": self.folder / "device.crt", "key_file": self.folder / "device.key"} if certificate else {}
        return Mqtt(port=self.tls, tls=Tls(ca_file=self.folder / f"{ca}.crt", **pair))

    def login(self, password_file: str, protocol: Literal["5", "3.1.1"] = "5") -> Mqtt:
        """The settings of a device at the plain listener."""
        path = self.folder / password_file
        return Mqtt(port=self.plain, username="edgemon", password_file=path, protocol=protocol)


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if shutil.which("mosquitto") is None or shutil.which("openssl") is None:
        pytest.skip("needs mosquitto and openssl: apt install mosquitto openssl")
    peer = Broker(tmp_path_factory.mktemp("broker"))
    with (peer.folder / "log").open("wb") as log:
        process = subprocess.Popen(["mosquitto", "-c", str(peer.folder / "mosquitto.conf")], stderr=log, stdout=log)
        try:
            eventually(lambda: _listens(peer.plain) and _listens(peer.tls), what="mosquitto listens")
            yield peer
        finally:
            process.terminate()
            process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _at_broker(mqtt: Mqtt) -> Finding:
    return _one(doctor.broker(Config(mqtt=mqtt)))


def test_a_broker_that_takes_our_certificate_is_well(mosquitto: Broker) -> None:
    assert _at_broker(mosquitto.mqtt()).verdict is OK


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_takes_our_password_is_well(mosquitto: Broker, protocol: Literal["5", "3.1.1"]) -> None:
    assert _at_broker(mosquitto.login("password", protocol)).verdict is OK


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refused_login_is_told(mosquitto: Broker, protocol: Literal["5", "3.1.1"]) -> None:
    found = _at_broker(mosquitto.login("mosquitto.conf", protocol))
    assert found.verdict is FAIL
    assert "refuses the login" in found.what


def test_a_broker_of_another_authority_is_told(mosquitto: Broker) -> None:
    found = _at_broker(mosquitto.mqtt(ca="other"))
    assert found.verdict is FAIL
    assert "mqtt.tls.ca_file" in found.remedy


def test_a_missing_client_certificate_is_told(mosquitto: Broker) -> None:
    found = _at_broker(mosquitto.mqtt(certificate=False))
    assert found.verdict is FAIL
    assert "certificate" in found.remedy


def test_tls_at_a_port_without_it_is_told(mosquitto: Broker) -> None:
    found = _at_broker(mosquitto.mqtt().model_copy(update={"port": mosquitto.plain}))
    assert found.verdict is FAIL
    assert "TLS" in found.remedy


def test_no_broker_is_told() -> None:
    found = _at_broker(Mqtt(port=free_port()))
    assert (found.verdict, found.remedy) == (FAIL, "start the broker, or correct mqtt.port")


@pytest.mark.parametrize("host", ["a" * 70, "..", "no such name.invalid"])
def test_a_host_that_is_no_name_is_told(host: str) -> None:
    found = _at_broker(Mqtt(host=host))
    assert (found.verdict, found.remedy) == (FAIL, "correct mqtt.host, or the network")


def test_a_port_that_stays_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BROKER_WITHIN_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = _at_broker(Mqtt(port=silent.getsockname()[1]))
    assert found.verdict is FAIL
    assert "silent" in found.what


def test_a_secret_that_everybody_may_read_is_told(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key", "password"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    (tmp_path / "key").chmod(0o640)
    tls = Tls(ca_file=tmp_path / "ca", cert_file=tmp_path / "cert", key_file=tmp_path / "key")
    found = list(doctor.secrets(Config(mqtt=Mqtt(password_file=tmp_path / "password", tls=tls))))
    assert [one.what for one in found if one.verdict is FAIL] == [f"{tmp_path}/password: everybody may read it"]
    assert len(found) == 4


def test_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = _one(doctor.secrets(Config(mqtt=Mqtt(password_file=tmp_path / "absent"))))
    assert (found.verdict, found.what) == (FAIL, f"{tmp_path}/absent: No such file or directory")


# Disk, board, clock


def test_a_state_folder_with_room_is_well_and_left_as_it_was(tmp_path: Path) -> None:
    assert _one(doctor.disk(Config(state_dir=tmp_path))).verdict in (OK, WARN)
    assert not list(tmp_path.iterdir())


def test_a_state_folder_too_small_for_the_outbox_is_told(tmp_path: Path) -> None:
    found = _one(doctor.disk(Config(state_dir=tmp_path, mqtt=Mqtt(outbox_max_bytes=2**62))))
    assert (found.verdict, found.check) == (FAIL, "disk")
    assert "outbox" in found.what


def test_a_state_folder_that_cannot_be_written_to_is_told() -> None:
    found = _one(doctor.disk(Config(state_dir=Path("/proc/self"))))
    assert found.verdict is FAIL
    assert "cannot be written to" in found.what


def test_a_state_folder_that_is_not_there_yet_is_no_failure(tmp_path: Path) -> None:
    assert _one(doctor.disk(Config(state_dir=tmp_path / "absent"))).verdict is WARN


@pytest.mark.parametrize(
    ("degrees", "alarm", "verdicts"),
    [("45000", "0", [OK, OK]), ("72000", "0", [WARN, OK]), ("81000", "1", [FAIL, FAIL])],
)
def test_heat_and_undervoltage_are_told(tmp_path: Path, degrees: str, alarm: str, verdicts: list[Verdict]) -> None:
    zone, sensor = tmp_path / "sys/class/thermal/thermal_zone0", tmp_path / "sys/class/hwmon/hwmon0"
    for path, text in (
        *((zone / "type", "cpu-thermal"), (zone / "temp", degrees)),
        *((sensor / "name", "rpi_volt"), (sensor / "in0_lcrit_alarm", alarm)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert _verdicts(doctor.board(Config(), tmp_path)) == verdicts


def test_a_board_that_tells_nothing_is_no_failure(tmp_path: Path) -> None:
    assert _verdicts(doctor.board(Config(), tmp_path)) == [OK, OK]


@pytest.mark.parametrize(
    ("source", "with_tls", "verdict"),
    [("ntp", True, OK), ("rtc", True, WARN), ("unsynced", False, WARN), ("unsynced", True, FAIL)],
)
def test_a_wrong_clock_is_a_failure_where_certificates_are_checked(
    monkeypatch: pytest.MonkeyPatch, source: str, with_tls: bool, verdict: Verdict
) -> None:
    monkeypatch.setattr("edgemon.health.clock_source", lambda *_: source)
    config = Config(mqtt=Mqtt(tls=Tls(ca_file=Path("ca")) if with_tls else None))
    assert _one(doctor.clock(config)).verdict is verdict


# The whole


def test_every_finding_that_is_not_well_has_a_remedy_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "edgemon.yaml"
    settings.write_text(
        f"state_dir: .\nmodels: {{folder: absent}}\nmqtt: {{port: {free_port()}}}\n"
        "beds: [{id: cot-1, source: absent.mp4}, {id: cot-2, source: picamera}]\n"
    )
    found = doctor.run(settings)
    assert {one.check for one in found} >= {"camera", "models", "onnxruntime", "clock", "broker", "disk", "temperature"}
    assert all(one.remedy for one in found if one.verdict is not OK)
    assert all("\n" not in one.what + one.remedy for one in found)
    assert doctor.main(settings) == 1
    assert len(capsys.readouterr().out.splitlines()) == len(found)


def test_a_wrong_configuration_is_the_only_finding(tmp_path: Path) -> None:
    settings = tmp_path / "edgemon.yaml"
    settings.write_text("mqtt: {port: 0}\n")
    (found,) = doctor.run(settings)
    assert (found.check, found.verdict) == ("config", FAIL)
    assert "1:14: mqtt.port" in found.what


@pytest.mark.parametrize(("verdicts", "code"), [((), 0), ((OK, WARN), 0), ((OK, FAIL, WARN), 1)])
def test_only_a_failure_gives_exit_code_1(verdicts: tuple[Verdict, ...], code: int) -> None:
    assert doctor.exit_code(Finding("disk", verdict, "") for verdict in verdicts) == code

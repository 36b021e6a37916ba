"""A real mosquitto: own authority and client certificates, TLS that requires them, the ACL of systemd/mosquitto.acl."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, eventually, free_port

from edgemon.config import Mqtt, Tls

SITE, UNIT, DEVICE, STATION = "site", "nicu", "cot-pi-1", "station-1"
SUBJECTS = ("localhost", DEVICE, "cot-pi-2", STATION)
CONFIG = """
per_listener_settings true
persistence true
persistence_location {folder}/data/
autosave_interval 1
autosave_on_changes true
max_queued_messages 20000
log_dest stderr
log_type all
{user}
listener {tls} 127.0.0.1
cafile {folder}/ca.crt
certfile {folder}/localhost.crt
keyfile {folder}/localhost.key
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {folder}/acl
listener {plain} 127.0.0.1
allow_anonymous true
"""


def make_certificates(folder: Path) -> None:
    """An authority, and a certificate for each subject."""

    def openssl(*words: str) -> None:
        subprocess.run(("openssl", *words), check=True, capture_output=True, cwd=folder)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test-ca")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in SUBJECTS:
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.crt")
        (folder / f"{name}.key").chmod(0o600)


class Broker:
    """One mosquitto that can be killed and started again."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self.folder = folder
        for file in certificates.iterdir():
            shutil.copy(file, folder / file.name)
        (folder / "data").mkdir()
        acl = (ROOT / "systemd/mosquitto.acl").read_text().replace("SITE", SITE).replace("UNIT", UNIT)
        (folder / "acl").write_text(acl.replace("station-1", STATION))
        (folder / "acl").chmod(0o600)
        self.tls, self.plain = free_port(), free_port()
        root = Path.home().owner() == "root" and Path("/").stat().st_uid == 0
        user = "user root" if root else ""
        text = CONFIG.format(folder=folder, tls=self.tls, plain=self.plain, user=user)
        (folder / "mosquitto.conf").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until both ports answer."""
        with (self.folder / "log").open("ab") as out:
            words = ("mosquitto", "-c", str(self.folder / "mosquitto.conf"))
            self.process = subprocess.Popen(words, stdout=out, stderr=out)
        eventually(lambda: self._answers(self.plain) and self._answers(self.tls), 10, "mosquitto")

    def _answers(self, port: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def settings(self, name: str = DEVICE, **more: object) -> Mqtt:
        """How a peer with this certificate reaches the broker."""
        tls = Tls(
            ca_file=self.folder / "ca.crt",
            cert_file=self.folder / f"{name}.crt",
            key_file=self.folder / f"{name}.key",
        )
        return Mqtt.model_validate({"host": "localhost", "port": self.tls, "tls": tls, **more})

    def plain_settings(self, **more: object) -> Mqtt:
        """The loopback listener without TLS."""
        return Mqtt.model_validate({"host": "127.0.0.1", "port": self.plain, **more})

    def as_peer(self, name: str) -> tuple[str, ...]:
        """The words that make mosquitto_pub and mosquitto_sub use this certificate."""
        files = ("--cafile", "ca.crt", "--cert", f"{name}.crt", "--key", f"{name}.key")
        return ("-h", "localhost", "-p", str(self.tls), *files)


def require() -> None:
    """Skip where mosquitto is not installed."""
    for tool in ("mosquitto", "mosquitto_sub", "mosquitto_pub", "openssl"):
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin") is None:
            pytest.skip(f"needs {tool}: apt-get install mosquitto mosquitto-clients openssl")

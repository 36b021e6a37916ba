"""What a Type=notify service tells systemd, per sd_notify(3) and sd_watchdog_enabled(3)."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """The datagram socket named by NOTIFY_SOCKET; every call does nothing where there is none.

    NOTIFY_SOCKET is read when built; a leading '@' names an abstract socket.
    """

    def __init__(self) -> None:
        name = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name

    @property
    def supervised(self) -> bool:
        """Whether somebody listens."""
        return self._address != ""

    def ready(self) -> None:
        """Starting up, or reloading, has finished."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service has begun to stop."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def watchdog(self) -> None:
        """Progress was made: call only then, never from a timer."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address == "":
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.connect(self._address)
            s.sendall(message.encode())


def watchdog_period_s() -> float | None:
    """The longest silence that systemd bears, in seconds; None where this process is not watched.

    Notify at least twice within it.
    """
    period_us = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not period_us.isascii() or not period_us.isdigit() or int(period_us) == 0 or watched != str(os.getpid()):
        return None
    return int(period_us) / 1e6

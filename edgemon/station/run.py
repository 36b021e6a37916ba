"""Puts the roles of one process together, and takes them apart when it is told to stop."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgemon import __version__, logs
from edgemon.errors import ConfigError, DeliveryError, WorkerStuck
from edgemon.signals import stopped_by_signals
from edgemon.station.broker import Sender
from edgemon.station.ingest import Ingest
from edgemon.station.lead import Lead
from edgemon.station.meters import Meters
from edgemon.station.settings import Http, StationConfig
from edgemon.station.store import Store
from edgemon.systemd import Notifier

if TYPE_CHECKING:
    from edgemon.station.web.serve import Server

log = logging.getLogger(__name__)
STOP_WITHIN_S = 15.0
TELL_EVERY_S = 5.0
SWITCH_S = 0.0005  # paho asks for the interpreter three times a message, and would wait its default of 5 ms each time


def run(settings: StationConfig, *, say: Callable[[str], None]) -> int:
    """Run the station until told to stop; the exit code. `say` is told where the page is.

    Raises:
        EdgemonError: what kept it from starting, or ended it.
    """
    logs.configure(settings.log_level)
    sys.setswitchinterval(SWITCH_S)
    notifier, stop, meters = Notifier(), threading.Event(), Meters()
    with ExitStack() as stack:
        stack.enter_context(stopped_by_signals(stop))
        store = Store.open(settings.store)
        stack.callback(store.close)
        ingest = Ingest(settings, store, meters) if "ingest" in settings.roles else None
        unready = ingest.unready if ingest is not None else tuple
        serve = _web(settings, store, meters, unready, stack) if "web" in settings.roles else None
        workers = stack.enter_context(Workers(stop))
        if ingest is not None:
            workers.start("ingest", ingest.run)
        if "rules" in settings.roles:
            workers.start("rules", Lead(settings, store).run)
        if serve is not None:
            workers.start("web", serve.run, end=serve.end)
            say(f"the station is at {serve.address}")
        notifier.ready()
        log.info("station %s of edgemon %s: %s", settings.name, __version__, ", ".join(settings.roles))
        while not stop.wait(TELL_EVERY_S):
            notifier.watchdog()
            notifier.status("; ".join(unready()) or "ready")
        notifier.stopping()
    return 0


class Workers:
    """Threads that end when told to; one that ends before ends all."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self._threads: list[threading.Thread] = []
        self._ends: list[Callable[[], None]] = []
        self._failed: list[str] = []

    def start(
        self, name: str, work: Callable[[threading.Event], None], *, end: Callable[[], None] = lambda: None
    ) -> None:
        """Run `work` until it returns, which it must once `stop` is set and `end` was called."""
        self._ends.append(end)
        thread = threading.Thread(target=self._run, args=(name, work), name=name)
        self._threads.append(thread)
        thread.start()

    def _run(self, name: str, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self.stop)
        finally:
            if not self.stop.is_set():
                self._failed.append(name)
                self.stop.set()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop and wait.

        Raises:
            WorkerStuck: one ended by itself, or does not end.
        """
        self.stop.set()
        for end in self._ends:
            end()
        for thread in self._threads:
            thread.join(STOP_WITHIN_S)
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        if kind is None and alive:
            raise WorkerStuck(f"{', '.join(alive)} did not stop within {STOP_WITHIN_S:.0f} s")
        if kind is None and self._failed:
            raise WorkerStuck(f"{', '.join(self._failed)} ended by itself; its traceback stands above")


@dataclass(frozen=True, slots=True)
class _Web:
    """The web server, which runs in a thread of its own, and where it is."""

    server: Server
    listening: socket.socket
    address: str

    def run(self, _stop: threading.Event) -> None:
        self.server.run(sockets=[self.listening])

    def end(self) -> None:
        self.server.should_exit = True


def _web(
    settings: StationConfig, store: Store, meters: Meters, unready: Callable[[], Sequence[str]], stack: ExitStack
) -> _Web:
    """Prepare the web server, and the connection that carries its commands."""
    from edgemon.station.web.app import build  # noqa: PLC0415  (a process without pages needs no web server)
    from edgemon.station.web.serve import server  # noqa: PLC0415

    listening = stack.enter_context(listen(settings.http))
    sender = Sender(settings.mqtt, settings.name, "web")
    app = build(store, settings, sender.send, meters=meters, unready=unready)
    sender.start()
    stack.callback(sender.stop)
    host, port = listening.getsockname()[:2]
    scheme = "https" if settings.http.cert_file else "http"
    web = _Web(server(app, settings.http), listening, f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    app.state.web.hub.ended = web.end
    return web


def listen(http: Http) -> socket.socket:
    """The socket of the web server.

    Raises:
        ConfigError: there is no such address.
        DeliveryError: it is in use, or may not be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"http.host: {http.host} is no address of this machine: {error}") from error
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise DeliveryError(f"{http.host}:{http.port} cannot be listened on: {error.strerror}") from error

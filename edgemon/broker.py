"""The embedded MQTT broker of the demo: amqtt on loopback in a thread of its own (MQTT 3.1.1, nothing kept)."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from types import TracebackType

from edgemon.errors import DeliveryError, WorkerStuck

STOP_WITHIN_S = 10.0


class EmbeddedBroker:
    """A broker on a free loopback port for as long as the `with` block lasts."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def __enter__(self) -> EmbeddedBroker:
        """Start, and wait until the port listens.

        Raises:
            DeliveryError: amqtt is not installed or cannot listen.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise DeliveryError(f"the embedded broker did not start: {self._failure}; install edgemon[station]")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_WITHIN_S)
        if self._thread.is_alive():
            raise WorkerStuck(f"the embedded broker did not stop within {STOP_WITHIN_S:.0f} s")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        try:
            from amqtt.broker import Broker  # noqa: PLC0415  (optional: only the demo needs a broker of its own)
            from amqtt.errors import AMQTTError  # noqa: PLC0415
        except ImportError as error:
            self._failure = error
            return
        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        try:
            await broker.start()
        except (AMQTTError, OSError) as error:
            self._failure = error
            return
        self._ready.set()
        await self._stop.wait()
        await broker.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

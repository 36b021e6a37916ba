"""SIGINT, SIGTERM and SIGHUP (a closed terminal) as an event or a readable socket: a handler only tells the loop."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set the event when the process is asked to stop."""
    with _handled(lambda _number, _frame: stop.set()):
        yield


@contextmanager
def stop_socket() -> Iterator[socket.socket]:
    """A socket that becomes readable when the process is asked to stop."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno())
    try:
        with _handled(lambda _number, _frame: None):  # the byte that Python writes to the socket is all that is needed
            yield ours
    finally:
        signal.set_wakeup_fd(before)
        ours.close()
        theirs.close()


class Waker:
    """Ends a loop's `select` from another thread."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.setblocking(False)

    def wake(self) -> None:
        """Make `fileno` readable; more than the socket holds is as good as one."""
        with suppress(BlockingIOError):
            self._theirs.send(b"!")

    def fileno(self) -> int:
        """For `select`."""
        return self._ours.fileno()

    def calm(self) -> None:
        """Take up what woke the loop."""
        with suppress(BlockingIOError):
            self._ours.recv(4096)

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self._theirs.close()


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)

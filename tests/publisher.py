"""A device for the kill test: stores and sends durable messages until it is killed.

`python publisher.py FOLDER PORT` writes each id to FOLDER/journal once `put` has returned; when FOLDER/finish exists,
it stores no more, and ends when everything has been delivered.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from wire import alarm_event, bout, stamp

from edgemon.config import Mqtt
from edgemon.messages import Composer
from edgemon.messages.counters import Counters
from edgemon.messages.mqtt import Link
from edgemon.messages.outbox import Outbox
from edgemon.records import Message

EVERY_S = 0.02


def message(composer: Composer, number: int) -> Message:
    """Alarms and events of two beds in turn."""
    bed = f"cot-{1 + number % 2}"
    if number % 4 < 2:
        return composer.alarm(alarm_event(("hr_high", "hr_low")[number % 8 // 4], bed=bed), stamp())
    return composer.behaviour(bout(f"{number}", bed=bed), stamp())


def main(folder: Path, port: int) -> None:
    """Run until killed or finished."""
    counters = Counters.begin(folder / "counters.json", "kernel-boot")
    composer = Composer("site", "nicu", "cot-pi-1", counters.boot, counters.session, numbers=counters.numbers())
    outbox = Outbox(folder / "outbox.db", max_bytes=2**26, max_age_s=1e6, now_s=time.monotonic())
    work = threading.Event()
    settings = Mqtt(port=port, delivery="receipt", resend_after_s=1)
    beds = ["cot-1", "cot-2"]
    link = Link(settings, composer, beds, outbox, on_command=lambda _: None, clock=stamp, wake=work.set)
    link.start()
    next_s, number = time.monotonic(), 0
    with (folder / "journal").open("a", encoding="utf-8") as journal:
        while outbox.waiting or not (folder / "finish").exists():
            work.wait(EVERY_S)
            work.clear()
            if time.monotonic() >= next_s and not (folder / "finish").exists():
                next_s, number = time.monotonic() + EVERY_S, number + 1
                made = message(composer, number)
                link.send(made)
                journal.write(f"{made.payload.id}\n")  # type: ignore[union-attr]
                journal.flush()
            link.pump(time.monotonic())
    link.stop()
    outbox.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""Whether a configuration would work on this machine, without starting anything."""

from __future__ import annotations

from collections.abc import Iterator

from edgemon.config import Config
from edgemon.events.conditions import settings_for
from edgemon.frames import open_source
from edgemon.messages.credentials import password, tls_context
from edgemon.pipeline import build_sights


def check(config: Config) -> Iterator[str]:
    """One line for each thing that is good.

    Raises:
        EdgemonError: the first that is not.
    """
    conditions = settings_for(config.alarms)
    yield f"alarms: {sum(row.enabled for row in conditions)} of {len(conditions)} conditions are on"
    for bed in config.beds:
        yield f"bed {bed.id}: {open_source(bed, paced=True).name}"
    for name, model in zip(config.models.names, build_sights(config)[0].models, strict=True):
        yield f"model {name}: {model.label}"
    password(config.mqtt)
    if config.mqtt.tls:
        tls_context(config.mqtt.tls)
    yield f"broker: {config.mqtt.host}:{config.mqtt.port}, {'TLS' if config.mqtt.tls else 'no TLS'}"

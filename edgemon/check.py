"""Whether a configuration would work on this machine, without starting anything."""

from __future__ import annotations

from collections.abc import Iterator

from edgemon import manifest
from edgemon.config import Config
from edgemon.events.conditions import settings_for
from edgemon.frames import open_source
from edgemon.inference import Model
from edgemon.messages.credentials import password, tls_context


def check(config: Config) -> Iterator[str]:
    """One line for each thing that is good.

    Raises:
        EdgemonError: the first that is not.
    """
    conditions = settings_for(config.alarms)
    yield f"alarms: {sum(row.enabled for row in conditions)} of {len(conditions)} conditions are on"
    for bed in config.beds:
        yield f"bed {bed.id}: {open_source(bed, paced=True).name}"
    folder = config.models.folder or manifest.default_folder()
    for name in config.models.names:
        yield f"model {name}: {Model.open(folder, name).manifest.label}"
    password(config.mqtt)
    if config.mqtt.tls:
        tls_context(config.mqtt.tls)
    yield f"broker: {config.mqtt.host}:{config.mqtt.port}, {'TLS' if config.mqtt.tls else 'no TLS'}"

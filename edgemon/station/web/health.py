"""Whether the station lives, whether it is ready and if not why, and what it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import anyio
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from edgemon.errors import EdgemonError
from edgemon.station.store import Store
from edgemon.station.web.context import Web

READY_WITHIN_S = 2.0
READY_FOR_MS = 1000
WARD_FOR_MS = 2000
TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def healthz(_request: Request) -> Response:
    """This process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """This process can do its work; if not, 503 and the reasons."""
    web: Web = request.app.state.web
    reasons = [*web.unready(), *await web.faults.get()]
    return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


async def faults(store: Store) -> Sequence[str]:
    """Why the store cannot be used; none where it can."""
    try:
        with anyio.fail_after(READY_WITHIN_S):
            await anyio.to_thread.run_sync(store.ready, abandon_on_cancel=True)
    except TimeoutError:
        return (f"the store did not answer within {READY_WITHIN_S:g} s",)
    except EdgemonError as error:
        return (str(error),)
    return ()


async def metrics(request: Request) -> Response:
    """All counts as text for Prometheus; no name of a bed, a device or a person is among them."""
    web: Web = request.app.state.web
    web.meters.screens.set(web.hub.clients)
    return Response(generate_latest(web.meters.registry) + await web.ward.get(), media_type=TYPE)


def ward(store: Store) -> bytes:
    """The counts that the store gives."""
    registry = CollectorRegistry()
    registry.register(_Ward(store))
    return generate_latest(registry)


class _Ward(Collector):
    """What the store knows: the same from every replica."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> Iterator[Metric]:
        """Nothing is read when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One reading of the store."""
        devices, beds = self._store.devices(), self._store.beds()
        online = Counter(device.avail.status if device.avail else "unknown" for device in devices)
        family = GaugeMetricFamily("edgemon_ward_devices", "devices by connection", labels=["online"])
        for status in ("online", "stopping", "offline", "unknown"):
            family.add_metric([status], online[status])
        yield family
        alarms = {(a.alarm_id, "device"): a.priority for bed in beds for a in bed.alarms}
        notices = {(f"{n.place} {n.condition}", "station"): n.priority for bed in beds for n in bed.notices}
        standing = Counter((source, str(priority)) for (_, source), priority in (alarms | notices).items())
        family = GaugeMetricFamily("edgemon_ward_alarms", "alarms that stand", labels=["source", "priority"])
        for source in ("device", "station"):
            for priority in ("high", "medium", "low"):
                family.add_metric([source, priority], standing[source, priority])
        yield family
        yield GaugeMetricFamily("edgemon_ward_beds", "beds that are known", value=len(beds))
        for name, text, value in (
            ("received", "messages of devices' newest sessions, without repeats", sum(d.received for d in devices)),
            ("repeats", "messages that came again and were dropped", sum(d.repeats for d in devices)),
            ("missing", "sequence numbers that never came", sum(d.missing for d in devices)),
        ):
            yield GaugeMetricFamily(f"edgemon_ward_messages_{name}", text, value=value)
        refused: Counter[str] = Counter()
        for device in devices:
            refused.update({refusal.reason: refusal.count for refusal in device.refused})
        counts = CounterMetricFamily("edgemon_ward_messages_refused", "messages that were refused", labels=["reason"])
        for reason, count in sorted(refused.items()):
            counts.add_metric([reason], count)
        yield counts

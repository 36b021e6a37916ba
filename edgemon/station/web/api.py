"""What pages read: who asks, the beds, a bed's history, devices and their losses; and which label stands where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgemon.station.nouns import CALENDAR_END_MS, BedNow, DeviceNow, Who
from edgemon.station.roster import Card, card
from edgemon.station.store import Store
from edgemon.station.store.history import LONGEST_MS
from edgemon.station.web.context import Web
from edgemon.station.web.guard import (
    FORM,
    LOGIN,
    Body,
    body_of,
    cookie_of,
    csrf_of,
    named,
    new_secret,
    set_cookie,
    whoever,
)
from edgemon.station.web.live import Frame

CARD = TypeAdapter(Card)  # writes the same JSON as `Card.json`, several times as fast
Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f<>]{1,40}$", strip_whitespace=True)]
_LEVEL = "[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]{0,127}"
Place = Annotated[str, StringConstraints(pattern=f"^{_LEVEL}(/{_LEVEL}){{3}}$")]


class Assign(Body):
    """Which place a bed's label stands for from now on."""

    label: Label
    place: Place


def reader(store: Store, silence_s: float, now_ms: Callable[[], int]) -> Callable[[int], Frame]:
    """What reads the beds that changed after a `change`; all, where the store never came so far."""

    def read(after: int) -> Frame:
        newest = store.newest_change()
        if newest == after:
            return Frame(newest, {})
        at_ms = now_ms()
        beds = store.beds(after if after < newest else 0)
        cards = {bed.place: (bed.change, CARD.dump_json(card(bed, at_ms, silence_s)).decode()) for bed in beds}
        return Frame(newest, cards, store.places())

    return read


async def me(request: Request) -> Response:
    """Who asks, and what a page must know of the station; before a login, what the login form needs, with 401."""
    web: Web = request.app.state.web
    person = await whoever(request, web)
    about: dict[str, object] = {
        "auth": web.settings.auth,
        "station": web.settings.name,
        "now_ms": web.now_ms(),
        "language": web.settings.language,
        "silence_ms": round(1000 * web.settings.silence_s),
    }
    if person is not None:
        expires_ms = None if person.auth == "open" else person.expires_ms
        about |= {"name": person.name, "role": person.role, "expires_ms": expires_ms, "timezone": web.settings.timezone}
    if person is not None and person.csrf:
        return JSONResponse({"csrf": person.csrf} | about)
    cookie = FORM if person is None else LOGIN  # an open station knows a browser by its cookie only
    secret = (person is None and cookie_of(request, web, FORM)) or new_secret()
    told = {"csrf": csrf_of(secret)} | about
    response = JSONResponse(told) if person else JSONResponse({"error": "log in first"} | told, 401)
    set_cookie(response, web, secret, cookie)
    return response


async def beds(_request: Request, web: Web, _person: Who) -> Response:
    """All cards."""
    all_beds = await run_in_threadpool(web.hub.read, 0)
    cards = ",".join(text for _change, text in all_beds.cards.values())
    text = f'{{"now_ms":{web.now_ms()},"change":{all_beds.change},"cards":[{cards}]}}'
    return Response(text, media_type="application/json")


async def history(request: Request, web: Web, _person: Who) -> Response:
    """A bed between two moments; the last 24 hours unless others are asked for."""
    place = (await known_bed(request, web)).place
    to_ms = number(request, "to_ms", web.now_ms())
    from_ms = number(request, "from_ms", to_ms - 86_400_000)
    if not 0 < to_ms - from_ms <= LONGEST_MS:
        raise HTTPException(422, f"to_ms must lie after from_ms, by at most {LONGEST_MS} ms")
    return JSONResponse(asdict(await run_in_threadpool(web.store.history, place, from_ms, to_ms)))


async def known_bed(request: Request, web: Web) -> BedNow:
    """The bed in the path, as the store knows it.

    Raises:
        HTTPException: 404, it knows none such; so nothing that people type becomes a topic.
    """
    bed = await run_in_threadpool(web.store.bed, named(request, "place"))
    if bed is None:
        raise HTTPException(404, "no such bed")
    return bed


def number(request: Request, name: str, default: int) -> int:
    """A whole number of the query; no time lies beyond the calendar, and no count.

    Raises:
        HTTPException: 422.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= CALENDAR_END_MS):
        raise HTTPException(422, f"{name} must be a whole number up to {CALENDAR_END_MS}")
    return int(text)


async def devices(_request: Request, web: Web, _person: Who) -> Response:
    """Every device: connection, clock, losses and refusals."""
    found: Sequence[DeviceNow] = await run_in_threadpool(web.store.devices)
    return JSONResponse([_device(device) for device in found])


def _device(device: DeviceNow) -> dict[str, object]:
    health, birth = device.health, device.birth
    return {
        "base": device.base,
        "online": device.avail.status if device.avail else "unknown",
        "last_heard_ms": device.last_heard_ms,
        "clock_offset_ms": device.clock_offset_ms,
        "received": device.received,
        "repeats": device.repeats,
        "missing": device.missing,
        "refused": [asdict(refusal) for refusal in device.refused],
        "software": birth.software if birth else None,
        "beds": list(birth.beds) if birth else [],
        "outbox": health.outbox.model_dump() if health else None,
        "temperature_c": health.temperature_c if health else None,
    }


async def retire(request: Request, web: Web, person: Who) -> Response:
    """Forget a device that is in service no more."""
    base = named(request, "base")
    try:
        known = await run_in_threadpool(web.store.retire, base, person.name, web.now_ms())
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    if not known:
        raise HTTPException(404, "no such device")
    return JSONResponse({"base": base})


async def assignments(request: Request, web: Web, _person: Who) -> Response:
    """Which label stands for which place; with `ended=1` also which stood, from when to when."""
    ended = number(request, "ended", 0) != 0
    rows = await run_in_threadpool(lambda: web.store.assignments(ended=ended))
    return JSONResponse([asdict(row) for row in rows])


async def assign(request: Request, web: Web, person: Who) -> Response:
    """Let a label stand for a place."""
    wish = await body_of(request, Assign)
    await run_in_threadpool(web.store.assign, wish.label, wish.place, person.name, web.now_ms())
    return JSONResponse({"label": wish.label, "place": wish.place}, 201)


async def unassign(request: Request, web: Web, person: Who) -> Response:
    """Let a place go by its own name again."""
    place = named(request, "place")
    if not await run_in_threadpool(web.store.unassign, place, person.name, web.now_ms()):
        raise HTTPException(404, "no label stands for this place")
    return JSONResponse({"place": place})


async def audit(request: Request, web: Web, _person: Who) -> Response:
    """The newest rows of the audit log, or those before one of them."""
    before = number(request, "before", 0) or None
    return JSONResponse([asdict(row) for row in await run_in_threadpool(web.store.audit_rows, before)])

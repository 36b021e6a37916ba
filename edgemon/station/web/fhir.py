"""FHIR R4 at /fhir, read-only: capability statement, searches page by page, single resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from edgemon import __version__
from edgemon.errors import StoreUnavailable
from edgemon.messages import payloads as p
from edgemon.station import fhir
from edgemon.station.fhir import Resource
from edgemon.station.nouns import CALENDAR_END_MS, Span, Who, base_of, bed_of, device_place, to_ts
from edgemon.station.store import Store
from edgemon.station.web.context import Web
from edgemon.station.web.guard import home, needs, on_store_error

DAY_MS = 86_400_000
LONGEST_MS = 31 * DAY_MS
MINUTE_MS = 60_000
MOST_PLACES = 64
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
FEW, MOST = 100, 500  # entries of a page
DATE = re.compile(r"(eq|ge|gt|le|lt)?(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
PAGE = re.compile(r"(\d{1,15})~([A-Za-z0-9.-]{1,64})", re.ASCII)
CODES = {p.HEART_RATE.code: p.HEART_RATE, fhir.SLEEP.code: fhir.SLEEP, p.PAIN_CUE.code: p.PAIN_CUE}
PAGING = {"_count": ("number", f"entries of a page: {FEW}, at most {MOST}")}
KINDS = {
    "Observation": {
        "subject": ("reference", "Location/ID: a cot; this or device is needed"),
        "device": ("reference", "Device/ID"),
        "code": ("token", f"{', '.join(CODES)}; with or without its system"),
        "date": ("date", "eq, ge, gt, le or lt, UTC where no zone is given; at most 31 days, else the last 24 h"),
    } | PAGING,
    "Communication": {
        "sender": ("reference", "Device/ID: of the device, or Device/station"),
        "about": ("reference", "Location/ID (a parameter of this server)"),
        "status": ("token", "in-progress | completed | unknown"),
        "sent": ("date", "as date of Observation: when an alarm last moved"),
    } | PAGING,
    "Device": PAGING,
    "Location": PAGING,
}  # fmt: skip
ISSUES = {
    400: "invalid", 401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 422: "too-costly",
    503: "transient",
}  # fmt: skip
Read = Callable[[Web, str], Resource | None]


def routes() -> list[BaseRoute]:
    """Every address below /fhir."""
    return [
        Route("/fhir/metadata", _endpoint(_metadata), methods=["GET"]),
        *(Route(f"/fhir/{kind}", _endpoint(partial(_search, kind)), methods=["GET"]) for kind in KINDS),
        *(Route(f"/fhir/{kind}/{{id}}", _endpoint(partial(_read, kind)), methods=["GET"]) for kind in KINDS),
        *(Route(path, _endpoint(_nothing), methods=METHODS) for path in ("/fhir", "/fhir/{rest:path}")),
    ]


def answer(resource: Resource, status: int = 200) -> Response:
    """A resource as FHIR's JSON."""
    return JSONResponse(resource, status, media_type="application/fhir+json")


def _endpoint(handler: Callable[[Request, Web, Who], Any]) -> Callable[[Request], Any]:
    """Needs the role view, and tells errors as an OperationOutcome."""
    guarded = needs("view", handler)

    async def endpoint(request: Request) -> Response:
        try:
            if request.method not in ("GET", "HEAD"):
                raise HTTPException(405, "nothing is written here")
            return await guarded(request)
        except HTTPException as error:
            told = answer(fhir.outcome(ISSUES.get(error.status_code, "processing"), error.detail), error.status_code)
            told.headers.update(error.headers or {})
            return told
        except StoreUnavailable as error:
            away = await on_store_error(request, error)
            return answer(fhir.outcome("transient", "the station's store cannot be reached now"), away.status_code)

    return endpoint


async def _metadata(request: Request, web: Web, _person: Who) -> Response:
    at = f"{home(request, web)}/fhir"
    return answer(fhir.capability(at, web.settings.name, __version__, web.now_ms(), KINDS))


async def _nothing(_request: Request, _web: Web, _person: Who) -> Response:
    raise HTTPException(404, f"here are metadata, {', '.join(KINDS)}; no Patient is known to this station")


async def _read(kind: str, request: Request, web: Web, _person: Who) -> Response:
    found = await run_in_threadpool(READS[kind], web, request.path_params["id"])
    if found is None:
        raise HTTPException(404, f"there is no such {kind}")
    return answer(found)


async def _search(kind: str, request: Request, web: Web, _person: Who) -> Response:
    query = Query.of(request, kind, web.now_ms())
    found = await run_in_threadpool(lambda: list(query.first(SEARCHES[kind](web, query))))
    page = found[: query.count]
    here = f"{home(request, web)}/fhir"

    def link(after: Key | None) -> str:
        """With the times between which this search looks, so that the next page looks between the same."""
        pairs = [*query.words, *([("_page", f"{after[0]}~{after[1]}")] if after else [])]
        return f"{here}/{kind}" + (f"?{urlencode(pairs)}" if pairs else "")

    links = {"self": link(query.after)} | ({"next": link(page[-1][0])} if len(found) > query.count else {})
    return answer(fhir.bundle(here, [resource for _, resource in page], links))


Key = tuple[int, str]  # when it begins, and its id: by these all pages are ordered
Entry = tuple[Key, Resource]


@dataclass(frozen=True, slots=True)
class Query:
    """What a search asks for."""

    values: dict[str, tuple[str, ...]]  # by parameter, alternatives
    from_ms: int
    to_ms: int
    count: int
    after: Key | None
    words: tuple[tuple[str, str], ...]  # as it was asked, and with its times

    @classmethod
    def of(cls, request: Request, kind: str, now_ms: int) -> Query:
        """Read the query; what this server does not know it refuses, for it would find what nobody asked for.

        Raises:
            HTTPException: 400, or 422 for more than 31 days.
        """
        known = KINDS[kind]
        dated = next((name for name, (told, _) in known.items() if told == "date"), None)
        values: dict[str, tuple[str, ...]] = {}
        dates: list[str] = []
        words: list[tuple[str, str]] = []
        after, count = None, FEW
        for name, value in request.query_params.multi_items():
            if name == "_page":
                after = _after(value)
                continue
            if name == "_format":
                if value.partition(";")[0] not in ("json", "application/json", "application/fhir+json"):
                    raise HTTPException(400, "_format: only json is spoken here")
            elif name not in known:
                raise HTTPException(400, f"{kind} is not searched by {name[:40]}; by {', '.join(known)}")
            elif name == dated:
                dates.append(value)
                continue
            elif name == "_count":
                count = _count(value)
            elif name in values:
                raise HTTPException(400, f"{name} is given twice; alternatives are parted by commas")
            else:
                values[name] = tuple(value.split(","))
            words.append((name, value))
        if dated is None:
            return cls(values, 0, 0, count, after, tuple(words))
        from_ms, to_ms = _window(dates, now_ms)
        words += [(dated, f"ge{to_ts(from_ms)}"), (dated, f"lt{to_ts(to_ms)}")]
        return cls(values, from_ms, to_ms, count, after, tuple(words))

    def first(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries of this page and one more, of entries in their order."""
        left = self.count + 1
        for entry in entries:
            if self.after is None or entry[0] > self.after:
                yield entry
                left -= 1
            if left == 0:
                return

    def ids(self, name: str, kind: str) -> set[str] | None:
        """The ids that a reference names; None where it is not asked for."""
        if name not in self.values:
            return None
        return {value.removeprefix(f"{kind}/").rpartition(f"/fhir/{kind}/")[2] for value in self.values[name]}


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= MOST):
        raise HTTPException(400, f"_count: 1 to {MOST}")
    return int(value)


def _after(value: str) -> Key:
    found = PAGE.fullmatch(value)
    if found is None:
        raise HTTPException(400, "_page is what the link of a page told")
    return int(found[1]), found[2]


def _window(dates: Sequence[str], now_ms: int) -> tuple[int, int]:
    """From when to before when; a date stands for as long as it is precise: a day, a minute, a second."""
    lowest, highest = [], []
    for text in dates:
        way, begin_ms, end_ms = _date(text)
        if way in ("ge", "gt", "eq"):
            lowest.append(end_ms if way == "gt" else begin_ms)
        if way in ("le", "lt", "eq"):
            highest.append(begin_ms if way == "lt" else end_ms)
    to_ms = min(highest, default=max(now_ms + 1, *lowest) if lowest else now_ms + 1)
    from_ms = max(lowest, default=to_ms - DAY_MS)
    if to_ms - from_ms > LONGEST_MS:
        raise HTTPException(422, "ask for at most 31 days at once")
    return from_ms, to_ms


def _date(text: str) -> tuple[str, int, int]:
    found = DATE.fullmatch(text)
    try:
        begin = datetime.fromisoformat(f"{found[2]}{found[3] or ''}") if found else None
        if found is None or begin is None:
            raise ValueError
        if begin.tzinfo is None:
            begin = begin.replace(tzinfo=UTC)
        begin_ms = round(begin.timestamp() * 1000)
        if not DAY_MS < begin_ms < CALENDAR_END_MS:
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, "a date is such as ge2026-01-31 or lt2026-01-31T08:00:00Z") from error
    precise = DAY_MS if found[3] is None else MINUTE_MS if found[4] is None else 1000 if found[5] is None else 1
    return found[1] or "eq", begin_ms, begin_ms + precise


def _places(store: Store) -> dict[str, str]:
    """Every bed by the id of its Location."""
    return {fhir.digest(pulse.place): pulse.place for pulse in store.pulses()}


def _observations(web: Web, query: Query) -> Iterator[Entry]:
    places, cots, devices = _places(web.store), query.ids("subject", "Location"), query.ids("device", "Device")
    if cots is None and devices is None:
        raise HTTPException(400, "name a subject (Location/ID) or a device (Device/ID)")
    wanted = [
        place
        for named, place in sorted(places.items())
        if (cots is None or named in cots) and (devices is None or fhir.digest(base_of(place)) in devices)
    ]
    if len(wanted) > MOST_PLACES:
        raise HTTPException(422, f"ask for at most {MOST_PLACES} cots at once")
    codes = {code.rpartition("|")[2] for code in query.values.get("code", CODES) if _is_known(code)}
    since_ms = max(query.from_ms, query.after[0]) if query.after else query.from_ms
    newest = list(_newest(web.store, wanted, codes))
    for day_ms in range(since_ms // DAY_MS * DAY_MS, query.to_ms, DAY_MS):
        begin_ms = query.from_ms - MINUTE_MS if day_ms <= query.from_ms else day_ms
        end_ms = min(day_ms + DAY_MS, query.to_ms)
        found = [one for one in newest if begin_ms <= fhir.starts_ms(one) < end_ms]
        if p.HEART_RATE.code in codes:
            found += map(fhir.heart_rate_minute, web.store.minutes(wanted, begin_ms, end_ms))
        if fhir.SLEEP.code in codes:
            found += (fhir.sleep(place, span) for place in wanted for span in _slept(web.store, place, day_ms))
        within = (one for one in found if fhir.starts_ms(one) < query.to_ms and fhir.ends_ms(one) >= query.from_ms)
        yield from _ordered(((fhir.starts_ms(one), one["id"]), one) for one in within)


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry[0])


def _is_known(code: str) -> bool:
    system, _, bare = code.rpartition("|")
    return bare in CODES and system in ("", CODES[bare].system)


def _newest(store: Store, places: Iterable[str], codes: set[str]) -> Iterator[Resource]:
    for place in places:
        for code, make in NEWEST.values():
            if code in codes and (bed := store.bed(place)) is not None and (found := make(bed)) is not None:
                yield found


def _slept(store: Store, place: str, day_ms: int) -> Iterator[Span]:
    """The spans of sleep of one day, which are the same whoever asks."""
    for span in store.history(place, day_ms, day_ms + DAY_MS).sleep:
        yield Span(span.from_ms, min(span.to_ms, day_ms + DAY_MS), span.value, span.reason)


def _communications(web: Web, query: Query) -> Iterator[Entry]:
    senders, cots = query.ids("sender", "Device"), query.ids("about", "Location")
    fates = set(query.values.get("status", fhir.FATES.values()))
    since_ms = max(query.from_ms, query.after[0]) if query.after else query.from_ms
    places = None if cots is None else [place for named, place in _places(web.store).items() if named in cots]
    found = []
    for episode in web.store.episodes(since_ms, query.to_ms, places):
        sender = fhir.STATION if episode.line.source == "station" else fhir.digest(base_of(episode.place))
        if fhir.FATES[episode.fate] in fates and (senders is None or sender in senders):
            key = episode.line.at_ms, fhir.episode_id(episode)
            found.append((key, episode))
    for key, episode in sorted(found, key=lambda one: one[0]):
        yield key, fhir.communication(episode, web.settings.name)


def _devices(web: Web, _query: Query | None = None) -> Iterator[Entry]:
    beds: dict[str, list[str]] = {}
    for pulse in web.store.pulses():
        beds.setdefault(base_of(pulse.place), []).append(pulse.place)
    found = [
        fhir.device(known, beds.get(known.base, [])) for known in web.store.devices() if known.base.count("/") == 2
    ]
    found.append(fhir.station_device(web.settings.name, __version__))
    yield from _ordered(((0, one["id"]), one) for one in found)


def _locations(web: Web, _query: Query | None = None) -> Iterator[Entry]:
    labels = {row.place: row.label for row in web.store.assignments()}
    for named, place in sorted(_places(web.store).items()):
        yield (0, named), fhir.location(place, labels.get(place, bed_of(place)))


def _observation(web: Web, named: str) -> Resource | None:
    kind, _, rest = named.partition(".")
    start, _, which = rest.partition(".")
    if not (start.isascii() and start.isdigit() and len(start) <= 15):
        return None
    if kind == "heart-rate":
        minutes = map(fhir.heart_rate_minute, web.store.minutes_at(int(start)))
        return next((one for one in minutes if one["id"] == named), None)
    place = _places(web.store).get(which)
    if place is None:
        return None
    if kind == "sleep":
        spans = _slept(web.store, place, int(start) // DAY_MS * DAY_MS)
        return next((fhir.sleep(place, span) for span in spans if fhir.span_id(place, span) == named), None)
    bed = web.store.bed(place)
    code_and_make = NEWEST.get(kind)
    found = code_and_make[1](bed) if bed is not None and code_and_make is not None else None
    return found if found is not None and found["id"] == named else None


def _communication(web: Web, named: str) -> Resource | None:
    kind, _, rest = named.partition(".")
    digest = rest.partition(".")[0]
    places = _places(web.store)
    wide = {fhir.digest(place): place for place in map(device_place, map(base_of, places.values()))}
    place = (places | wide).get(digest)
    if kind != "alarm" or place is None:
        return None
    episodes = web.store.episodes(0, CALENDAR_END_MS, [place])
    found = (episode for episode in episodes if fhir.episode_id(episode) == named)
    return next((fhir.communication(episode, web.settings.name) for episode in found), None)


def _of(listed: Callable[[Web], Iterator[Entry]]) -> Read:
    return lambda web, named: next((one for key, one in listed(web) if key[1] == named), None)


NEWEST = {
    "heart-rate-newest": (p.HEART_RATE.code, fhir.heart_rate_newest),
    "pain-cue-newest": (p.PAIN_CUE.code, fhir.pain_cue),
}
SEARCHES: dict[str, Callable[[Web, Query], Iterator[Entry]]] = {
    "Observation": _observations,
    "Communication": _communications,
    "Device": _devices,
    "Location": _locations,
}
READS: dict[str, Read] = {
    "Observation": _observation,
    "Communication": _communication,
    "Device": _of(_devices),
    "Location": _of(_locations),
}

"""What people do to alarms: a request that goes to the device over MQTT, and a row in the audit log for each try."""

from __future__ import annotations

import uuid
from typing import Literal, NoReturn

from pydantic import Field, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgemon.errors import DeliveryError
from edgemon.messages import payloads as p
from edgemon.records import Presence
from edgemon.station.nouns import BedNow, Who, base_of, to_ts
from edgemon.station.roster import card
from edgemon.station.web.api import known_bed
from edgemon.station.web.context import Web
from edgemon.station.web.guard import Body, body_of, named, note

EXPIRES_MS = 30_000


class Acknowledge(Body):
    """The device's alarm at the revision that was on the screen, or the station's own notice of a condition."""

    alarm_id: p.Ref | None = None
    revision: int | None = Field(None, ge=1, le=2**53)
    condition: p.Token | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Acknowledge:
        device = (self.alarm_id is not None, self.revision is not None)
        if device not in ((True, True), (False, False)) or device[0] == (self.condition is not None):
            raise ValueError("give alarm_id and revision, or condition for one of the station's own alarms")
        return self


class Pause(Body):
    """Silence sounds, or all of a bed's physiological alarms during a procedure, for some seconds."""

    pause: Literal["audio", "procedure"]
    duration_s: float = Field(gt=0, le=300)


async def acknowledge(request: Request, web: Web, person: Who) -> Response:
    """Acknowledge one alarm; a screen that was not up to date is refused at once, all else the device decides."""
    bed = await known_bed(request, web)
    wish = await body_of(request, Acknowledge)
    if wish.condition is not None:
        return await _acknowledge_notice(web, person, bed, wish.condition)
    alarms = card(bed, web.now_ms(), web.settings.silence_s).alarms
    alarm = next((alarm for alarm in alarms if alarm.alarm_id == wish.alarm_id), None)
    if alarm is None:
        await refuse(web, person, "acknowledge", bed.place, "this alarm does not stand any more")
    if alarm.revision != wish.revision:
        stale = f"this alarm has changed: its revision is {alarm.revision}, your screen showed {wish.revision}"
        await refuse(web, person, "acknowledge", bed.place, stale)
    if alarm.presence == Presence.ACK:
        await refuse(web, person, "acknowledge", bed.place, f"{alarm.ack_by or 'somebody'} has acknowledged this alarm")
    asked = _request(web, person, bed, alarm.place, "acknowledge", alarm_id=alarm.alarm_id, revision=alarm.revision)
    return await _ask(web, person, bed, asked, f"{alarm.condition} {alarm.alarm_id} revision {alarm.revision}")


async def pause(request: Request, web: Web, person: Who) -> Response:
    """Pause a bed's signals for a time; the device has its own, stricter bounds."""
    bed = await known_bed(request, web)
    wish = await body_of(request, Pause)
    asked = _request(web, person, bed, bed.place, "pause", pause=wish.pause, duration_s=wish.duration_s)
    return await _ask(web, person, bed, asked, f"{wish.pause} for {wish.duration_s:g} s")


async def command(request: Request, web: Web, _person: Who) -> Response:
    """What became of a command."""
    row = await run_in_threadpool(web.store.command, named(request, "cmd_id"))
    if row is None:
        raise HTTPException(404, "no such command was asked here")
    answer = {"status": row.status(web.now_ms()), "reason": row.reason, "revision": row.revision}
    return JSONResponse(answer | {"place": row.place, "name": row.name, "by": row.by})


async def refuse(web: Web, person: Who, what: str, place: str, reason: str) -> NoReturn:
    """Write down that an act was refused, and say so."""
    await note(web, person.name, f"{what} refused", place, reason)
    raise HTTPException(409, reason)


async def _acknowledge_notice(web: Web, person: Who, bed: BedNow, condition: str) -> Response:
    now_ms = web.now_ms()
    done = await run_in_threadpool(web.store.acknowledge_notice, bed.place, condition, person.name, now_ms)
    if not done:
        await refuse(web, person, "acknowledge", bed.place, "this alarm does not stand, or somebody acknowledged it")
    return JSONResponse({"cmd_id": None}, 202)


def _request(web: Web, person: Who, bed: BedNow, target: str, act: str, **fields: object) -> p.CommandRequest:
    """The request by which the device knows what to do; it expires by the device's clock, as far as that is known."""
    expires_ms = web.now_ms() + EXPIRES_MS - (bed.clock_offset_ms or 0)
    device, name = target.split("/")[2:]
    common = {"cmd_id": uuid.uuid4().hex, "name": act, "device": device, "bed": name, "by": person.name}
    return p.CommandRequest.model_validate(common | {"expires": to_ts(expires_ms)} | fields)


async def _ask(web: Web, person: Who, bed: BedNow, asked: p.CommandRequest, detail: str) -> Response:
    """Write down first what is asked, for the answer may come at once; then send it."""
    target = f"{base_of(bed.place)}/{asked.bed}"
    if bed.avail is None or bed.avail.status != "online":
        await refuse(web, person, asked.name, target, "the device is not online: nothing can be asked of it")
    await run_in_threadpool(web.store.asked, asked, target, person.name, web.now_ms())
    await note(web, person.name, asked.name, target, f"{detail}; command {asked.cmd_id}")
    try:
        web.publish(target, asked)
    except DeliveryError as error:
        await note(web, person.name, f"{asked.name} not sent", target, str(error))
        raise HTTPException(503, f"nothing was sent: {error}"[:200]) from error
    return JSONResponse({"cmd_id": asked.cmd_id}, 202)

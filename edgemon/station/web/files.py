"""A bed's day as a file that a browser saves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edgemon.errors import ConfigError
from edgemon.station import export as files
from edgemon.station.nouns import Who, to_ts
from edgemon.station.web.api import known_bed, number
from edgemon.station.web.context import Web
from edgemon.station.web.guard import note

DAY_MS = 86_400_000
TYPES = {"csv": "text/csv; charset=utf-8; header=present", "parquet": "application/vnd.apache.parquet"}


async def export(request: Request, web: Web, person: Who) -> Response:
    """One table of a bed, of the last 24 hours unless others are asked for; who took it stands in the audit log."""
    place = (await known_bed(request, web)).place
    form = cast(files.Format, _one_of(request, "format", files.FORMATS))
    what = cast(files.What, _one_of(request, "what", tuple(files.TABLES)))
    to_ms = number(request, "to_ms", web.now_ms())
    from_ms = number(request, "from_ms", to_ms - DAY_MS)
    try:
        files.check(from_ms, to_ms, form)
    except ConfigError as error:
        raise HTTPException(422, str(error)) from error
    if not web.limits.acts.allow(f"export {person.name}", web.now_ms()):
        raise HTTPException(429, "that is too often: wait some seconds", headers={"Retry-After": "5"})
    await note(web, person.name, "export", place, f"{what} {form}, {to_ts(from_ms)} to {to_ts(to_ms)}")
    pieces = files.written(web.store, what, place, from_ms, to_ms, form=form)
    first = await run_in_threadpool(next, pieces)  # so that a store which is away is told as such
    saved = {"Content-Disposition": f'attachment; filename="{files.file_name(what, place, from_ms, form)}"'}

    def rest() -> Iterator[bytes]:
        yield first
        yield from pieces

    return StreamingResponse(rest(), media_type=TYPES[form], headers=saved)


def _one_of(request: Request, name: str, options: tuple[str, ...]) -> str:
    """What the query asks for of these; the first where it asks for nothing.

    Raises:
        HTTPException: 422.
    """
    value = request.query_params.get(name, options[0])
    if value not in options:
        raise HTTPException(422, f"{name} is one of {', '.join(options)}")
    return value

"""The alarm tables as a page of documentation: `docs/alarms.md` is this text, so it cannot lie."""

from __future__ import annotations

from edgemon.events.conditions import CONDITIONS, Condition, Sense
from edgemon.events.transitions import LATCHING, PRESENCE, TRANSITIONS, AlarmState, Input, Move

_HEAD = """\
# Alarms

Generated from the tables in `edgemon/events/` by `edgemon.events.describe.markdown()`. **edgemon is not a medical
device and not a certified alarm system**; its defaults are starting points that the unit must set.

* A *condition* is what its predicate says: true, false or unknown. Nothing suppresses it. Unknown never raises a
  physiological alarm and is never taken for normal: an alarm that is on stays on while its value is unknown.
* An *occurrence* lives from phase `start` to phase `end`, one per condition at most. Its onset is the predicate's
  first truth; its revision goes up with every change, also over occurrences and restarts, and `continue` repeats it
  every 30 s.
* A *signal* is what acknowledgements and pauses end or quieten. An acknowledgement names the revision and is refused
  when that is stale. A procedure (at most 300 s) pauses all signals of physiological alarms; an audio pause (at most
  120 s) the sound of alarms not above the highest priority that was active when it began. `activation` tells which
  signals are given; both pauses end by themselves.
* An acknowledged alarm whose value stays unknown for 60 s ends (latches, where it is latching), so that an old
  acknowledgement cannot hide the next true value.
* A condition is gone when its predicate was false for the clear time; shorter breaks do not restart the delay.
* A latched alarm stays until it is acknowledged after its condition has gone; if the condition comes back for its
  delay, the same occurrence is on again.
* Escalation raises the priority by one; signals that are paused do not escalate.
"""


def markdown() -> str:
    """The whole page."""
    parts = (_HEAD, "## Conditions\n", _conditions(), "## Transitions\n", _diagram(), _cells())
    return "\n".join(parts)


def _conditions() -> str:
    lines = [
        "| condition | scope | kind | priority | true when | delay | clear | escalates | latching | default from |",
        "|---|---|---|---|---|--:|--:|--:|---|---|",
    ]
    for row in CONDITIONS:
        escalates = "-" if row.escalate_s is None else f"{row.escalate_s:g} s"
        lines.append(
            f"| `{row.name}` | {row.scope} | {row.kind} | {row.priority} | {_rule(row)} | {row.delay_s:g} s |"
            f" {row.clear_s:g} s | {escalates} | {'yes' if row.latching else 'no'} | {row.source} |"
        )
    return "\n".join(lines) + "\n"


def _rule(row: Condition) -> str:
    if row.sense is Sense.FLAG:
        return row.what
    unknown = "" if row.unknown_limit_s is None else f", or unknown for {row.unknown_limit_s:g} s"
    back = f" (back by {row.hysteresis:g})" if row.hysteresis else ""
    unit = "" if row.unit == "1" else f" {row.unit}"
    return f"{row.what} {row.sense} {row.limit:g}{unit}{back}{unknown}"


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> inactive"]
    lines += [
        f"    {state} --> {move.to}: {cause}" for (state, cause), move in TRANSITIONS.items() if move.to is not state
    ]
    lines += [f"    {state} --> {move.to}: {cause}, latching" for (state, cause), move in LATCHING.items()]
    return "\n".join([*lines, "```\n"])


def _cells() -> str:
    """Every cell: the next state and the phase told; a dash where the input is illegal."""
    lines = [
        f"| | {' | '.join(AlarmState)} |",
        f"|---|{'---|' * len(AlarmState)}",
        f"| *presence* | {' | '.join(PRESENCE.get(state, '-') for state in AlarmState)} |",
    ]
    for cause in Input:
        cells = []
        for state in AlarmState:
            plain, latching = TRANSITIONS.get((state, cause)), LATCHING.get((state, cause))
            cells.append(_cell(plain) + (f"; latching: {_cell(latching)}" if latching else ""))
        lines.append(f"| {cause} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(move: Move | None) -> str:
    if move is None:
        return "-"
    return f"{move.to}" if move.phase is None else f"{move.to}, *{move.phase}*"

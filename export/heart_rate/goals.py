"""The row of the project's yardsticks that heart rate has to beat, judged number by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from export.heart_rate.answers import OURS_ALL, OURS_TRUSTED, Answers
from export.heart_rate.scores import BEST_SHARE, Score, far_though_sure, pooled, score

FAR_SHARE, ABSTAIN_SHARE = 0.01, 0.02


@dataclass(frozen=True, slots=True)
class Goal:
    """One number to reach and what was measured; None where there are no such recordings."""

    name: str
    wanted: str
    measured: float | None
    told: str
    met: bool


def goals(answers: Sequence[Answers]) -> Iterator[Goal]:
    """Every number of the row; what has no recordings here is said to be so."""

    def rhesus(a: Answers) -> bool:
        return a.data == "rhesus RGB"

    def fifth(a: Answers) -> bool:
        return rhesus(a) and a.recording == "Session5"

    def adults(a: Answers) -> bool:
        return a.layout in ("trace", "video")

    def finger(a: Answers) -> bool:
        return a.layout == "finger"

    def clips(a: Answers) -> bool:
        return a.layout == "rendered"

    yield _mae("adult traces and videos (--data), 10 s, every window", answers, adults, 10.0, 2.0)
    yield _mae(
        "finger (adults, contact), in band, 10 s, every window", answers, lambda a: a.data == "finger", 10.0, 2.0
    )
    yield _mae("rhesus RGB, 10 s, every window", answers, rhesus, 10.0, 6.0)
    yield _mae("rhesus RGB, 20 s, every window", answers, rhesus, 20.0, 4.0)
    for span_s in (10.0, 20.0):
        yield _trusted(f"rhesus RGB, {span_s:.0f} s, trusted", answers, rhesus, span_s, 3.0)
    for span_s in (10.0, 20.0):
        yield _mae(f"rhesus session 5, {span_s:.0f} s, every window", answers, fifth, span_s, 2.0)
    yield _abstains("compressed clips, given a value", answers, "compressed", ABSTAIN_SHARE)
    yield _mae("rendered clips, 10 s, every window", answers, clips, 10.0, 1.5)
    yield _abstains("rendered dolls and photographs, given a value", answers, "rendered", 0.0)
    sure, far = far_though_sure(pooled(a.windows[OURS_TRUSTED, 10.0] for a in answers))
    share = far / sure if sure else None
    yield Goal(
        "values of quality >= 0.8, more than 10 bpm off, all data",
        f"<= {FAR_SHARE:.0%}",
        share,
        "no such values" if share is None else f"{share:.2%} ({far} of {sure})",
        share is None or share <= FAR_SHARE,
    )


Chosen = Callable[[Answers], bool]


def _score(answers: Sequence[Answers], chosen: Chosen, method: str, span_s: float) -> Score | None:
    found = [a.windows[method, span_s] for a in answers if chosen(a)]
    judged = score(pooled(found)) if found else None
    return judged if judged is not None and judged.windows else None


def _mae(name: str, answers: Sequence[Answers], chosen: Chosen, span_s: float, limit: float) -> Goal:
    s = _score(answers, chosen, OURS_ALL, span_s)
    if s is None:
        return Goal(name, f"MAE <= {limit:g}", None, "no such recordings", False)
    told = f"{s.mae:.2f} at {s.coverage:.0%} of {s.windows} windows"
    return Goal(name, f"MAE <= {limit:g}", s.mae, told, bool(s.mae <= limit and s.coverage >= 0.99))


def _trusted(name: str, answers: Sequence[Answers], chosen: Chosen, span_s: float, limit: float) -> Goal:
    wanted = f"MAE <= {limit:g} at >= {BEST_SHARE:.0%}"
    s = _score(answers, chosen, OURS_TRUSTED, span_s)
    if s is None:
        return Goal(name, wanted, None, "no such recordings", False)
    told = f"{s.mae:.2f} at {s.coverage:.0%} of {s.windows} windows"
    return Goal(name, wanted, s.mae, told, bool(s.mae <= limit and s.coverage >= BEST_SHARE))


def _abstains(name: str, answers: Sequence[Answers], layout: str, limit: float) -> Goal:
    found = [a.windows[OURS_TRUSTED, 10.0] for a in answers if a.layout == layout]
    silent = pooled(found) if found else None
    count = int((~silent.pulse).sum()) if silent is not None else 0
    if silent is None or not count:
        return Goal(name, f"<= {limit:.0%}", None, "no such recordings", False)
    given = int((silent.answered & ~silent.pulse).sum())
    return Goal(
        name, f"<= {limit:.0%}", given / count, f"{given / count:.1%} ({given} of {count})", given <= limit * count
    )

"""How observations become beliefs: every time constant and limit of the states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chain:
    """A two-state Markov chain that is seen through a network's probabilities.

    A look's evidence is its logit, bounded at the logit of `bound` as no single look is to be believed more, times
    `trust`, below 1 as looks a quarter of a second apart err together. The chain stays on for `stay_on_s` and off for
    `stay_off_s` on the mean. A fact holds from a probability of `enter` on until it falls to `leave`.
    """

    trust: float
    stay_on_s: float
    stay_off_s: float
    enter: float
    leave: float
    bound: float

    def __post_init__(self) -> None:
        if not 0 < self.leave < self.enter < 1:
            raise ValueError(f"leave must be below enter, both within 0..1, got {self.leave} and {self.enter}")
        if not (0 < self.bound < 0.5 and 0 < self.trust <= 1 and min(self.stay_on_s, self.stay_off_s) >= 1):
            raise ValueError(
                f"bound within 0..0.5, trust within 0..1 and stays of at least 1 s make a chain, got {self}"
            )


@dataclass(frozen=True, slots=True)
class StateSettings:
    """How observations become beliefs.

    The chains were chosen by `python -m export evaluate nights`. A change that the network is sure of reaches `eyes`
    after about 2 s and `cry` after about 1 s at 4 Hz; an eye closure of up to 0.5 s is a blink and is ignored.
    Epochs and the majority rule follow the AASM infant scoring rules (J Clin Sleep Med 2016;12(3):429, PMC4773630),
    with eyes and cry in place of the EEG.
    """

    eyes: Chain = Chain(trust=0.6, stay_on_s=100, stay_off_s=100, enter=0.8, leave=0.03, bound=0.2)  # on: closed
    cry: Chain = Chain(trust=0.6, stay_on_s=60, stay_off_s=600, enter=0.9, leave=0.003, bound=0.02)
    expression_hold_s: float = 5.0
    heart_rate_hold_s: float = 5.0
    face_hold_s: float = 2.0
    face_bridge_s: float = 1.0  # a face that detection misses for less than this has not gone
    min_quality: float = 0.2  # observations below it count as abstentions
    epoch_s: float = 30.0
    epoch_coverage: float = 0.5  # an epoch known for less than this share is unknown
    asleep_share: float = 0.8  # of what is known of an epoch, to fall asleep; to stay asleep half is enough
    awake_open_s: float = 20.0  # of open eyes in one piece: awake before the epoch ends; sleepers look out for less
    awake_crying_s: float = 10.0  # the same of crying
    coverage_s: float = 60.0
    pain_window_s: float | None = None  # None: no pain cue
    pain_coverage: float = 0.5  # below this share of the window in which the actions were seen, there is none
    pose_window_s: float | None = None  # that posture and head side are the majority of; None: no pose, no movement
    pose_share: float = 0.6  # of the looks of the window that must agree before a posture is told, or another one is
    pose_looks: int = 3
    pose_hold_s: float = 20.0
    movement_hold_s: float = 130.0  # of the newest minute's index: two minutes and some

    def __post_init__(self) -> None:
        if self.pain_window_s is not None and not 1 <= self.pain_window_s <= 600:
            raise ValueError(f"pain_window_s must be within 1..600, got {self.pain_window_s}")
        if self.pose_window_s is not None and not 0 < self.pose_window_s <= 600:
            raise ValueError(f"pose_window_s must be within 0..600, got {self.pose_window_s}")
        if not 0 < self.expression_hold_s < self.epoch_s:
            raise ValueError(f"expression_hold_s must be within 0..{self.epoch_s}, got {self.expression_hold_s}")

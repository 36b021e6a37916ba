"""The one file that knows the order: Frame > Face > Observation > PatientState > AlarmEvent > Message.

Three threads meet here, each with its own half of a bed. `Sight.sample` runs in the capture thread for every frame,
`Sight.look` in the vision thread on the newest one, and all of `Mind` in the I/O loop. What one hands to the next is
a frozen noun. Replay calls the same three in the same order from one thread, on the clock of the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon import manifest
from edgemon.cadence import Every, Pace
from edgemon.config import Bed, Cadence, Config
from edgemon.errors import ModelError
from edgemon.events.bouts import Bouts
from edgemon.events.conditions import Condition
from edgemon.events.engine import AlarmEngine
from edgemon.events.summary import Summaries
from edgemon.faces import regions
from edgemon.faces.detect import Detection, FaceDetector
from edgemon.faces.track import FaceTracker
from edgemon.faces.view import View
from edgemon.frames.capture import TraceRing
from edgemon.inference import ExpressionModel, Model, PainModel
from edgemon.manifest import Manifest
from edgemon.messages import Composer, Stamp
from edgemon.movement import MotionMeter, MovementWindow
from edgemon.observations import FaceObserver, TraceObserver
from edgemon.observations.expression import ExpressionObserver
from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.observations.pain import PainObserver
from edgemon.observations.pose import PoseObserver, Scene, covered
from edgemon.observations.pose_network import PoseNetwork
from edgemon.observations.pulse_network import PulseNetwork
from edgemon.records import (
    Face,
    Frame,
    Health,
    HeartRate,
    Message,
    MovementSummary,
    Observation,
    PatientState,
    Pose,
    Reason,
)
from edgemon.states import HEART_RATE, StateEstimator, StateSettings

SAMPLE_FACE_UP_TO_S = 1.0  # skin is read where the face was seen at most this long ago
TRACE_S = 12.0
TICK_S = 0.25  # how often there is something to say
POSE_WINDOW_S = 15.0  # that a posture is the majority of


class Detector(Protocol):
    """Finds every face in one RGB image."""

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """The faces, best first.

        Raises:
            ModelError: the network failed.
        """


class OncePerPicture:
    """A detector that looks at each picture once, however many beds it shows; for one thread."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._image: NDArray[np.uint8] | None = None
        self._found: tuple[Detection, ...] = ()

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """The faces in this picture; the same object again is not looked at again."""
        if image is not self._image:
            self._found = self._detector.detect(image)
            self._image = image
        return self._found


class Limbs:
    """The poses of all beds: of each camera at its turn, or of all cameras' newest frames at once; for one thread."""

    def __init__(
        self, cameras: Sequence[tuple[Bed, ...]], pose_hz: float, observer: PoseObserver, *, together: bool
    ) -> None:
        self.resting = False  # pose is what the board does without first; any thread may say so
        self._beds = {bed.id: beds for beds in cameras for bed in beds}
        self._observer = observer
        self._together = together
        self._period_s = 1 / pose_hz
        turns = Every(self._period_s)
        self._turns = {bed: turns if together else Every(self._period_s) for bed in self._beds}
        self._newest: dict[str, Scene] = {}  # of each camera, by its first bed; of all cameras' looks at once
        self._waiting: dict[str, Observation] = {}
        self.ran = False  # in the last look, and not only what an earlier one had found was told

    def look(self, bed: str, frame: Frame) -> tuple[Observation, ...]:
        """What there is to say of this bed, of whose camera this is the newest frame."""
        beds, now_s = self._beds[bed], frame.captured_s
        first = beds[0].id
        if not self._together:
            self._newest.clear()
        self._newest[first] = (frame, beds)
        due = self._turns[first].due(now_s)
        self.ran = due and not self.resting
        if due:
            scenes = [s for s in self._newest.values() if now_s - s[0].captured_s <= self._period_s]
            told = self._observer.refuse(scenes, Reason.OVERLOADED) if self.resting else self._observer.observe(scenes)
            self._waiting |= {one.bed: one for one in told}
            self._newest.clear()
        return (self._waiting.pop(bed),) if bed in self._waiting else ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at one frame gave."""

    at_s: float
    face: Face | None
    reason: Reason | None  # why there is no face
    observations: tuple[Observation, ...]
    failed_models: tuple[str, ...]
    movement: MovementSummary | None = None  # of a minute that is over


class Sight:
    """One bed from Frame to Observation."""

    def __init__(
        self,
        bed: Bed,
        cadence: Cadence,
        *,
        detector: Detector,
        observers: Sequence[FaceObserver],
        heart_rate: TraceObserver,
        limbs: Limbs | None = None,
        movement: MovementWindow | None = None,
        models: Sequence[Manifest] = (),
    ) -> None:
        self.bed = bed
        self.models = tuple(models)  # of the networks that it runs
        self.ring = TraceRing(int(TRACE_S * bed.fps))
        self._detector = detector
        self._tracker = FaceTracker(bed.cot_region)
        self._view = View(bed.cot_region)
        self._observers = tuple(observers)
        self._heart_rate = heart_rate
        self.limbs = limbs
        self._movement = movement
        region = bed.cot_region
        self._motion = MotionMeter(region=(region.x0, region.y0, region.x1, region.y1))
        self._pace = Pace(cadence.face_hz)
        self._observe_due = Every(1 / cadence.expression_hz)
        self._heart_rate_due = Every(1 / cadence.heart_rate_hz)
        self._hidden: Reason | None = None  # why no face could be seen at the detector's last turn
        self._face: Face | None = None  # the newest; replaced whole, so the capture thread may read it at any time

    def sample(self, frame: Frame) -> None:
        """Read the skin's colour and the picture's motion: for every frame, in the capture thread, never blocking."""
        if self._movement is not None:
            motion = self._motion.add(frame.image, frame.captured_s)
            if motion is not None:
                self._movement.motion(motion)
        face = self._face
        if face is not None and frame.captured_s - face.detected_s <= SAMPLE_FACE_UP_TO_S:
            self.ring.append(regions.sample(frame, face, with_patch=self._heart_rate.reads_patches))

    def look(self, frame: Frame) -> Seen:
        """Run whatever is due on this frame: the detector, the face observers, the heart rate, the pose.

        Beds that share a camera are handed its frames, whichever of them these name.
        """
        frame = frame if frame.bed == self.bed.id else replace(frame, bed=self.bed.id)
        now_s = frame.captured_s
        failed = self._find(frame)
        reason = None if self._face else Reason.MODEL_FAILED if failed else self._hidden or Reason.NO_FACE
        observations = [o.observe(frame, self._face) for o in self._observers] if self._observe_due.due(now_s) else []
        if self._heart_rate_due.due(now_s):
            observations.append(self._heart_rate.observe(self.ring.snapshot(), now_s))
        if self.limbs is not None:
            observations += self.limbs.look(self.bed.id, frame)
        failed += [o.observer for o in observations if o.reason is Reason.MODEL_FAILED]
        if reason is not None:
            observations = [replace(o, reason=reason) if o.reason is Reason.NO_FACE else o for o in observations]
        return Seen(now_s, self._face, reason, tuple(observations), tuple(failed), self._moved(observations, now_s))

    def _moved(self, observations: Sequence[Observation], now_s: float) -> MovementSummary | None:
        """The minute of movement that is over, if one is."""
        if self._movement is None:
            return None
        for one in observations:
            if isinstance(one.value, Pose):
                self._movement.pose(one.value, one.captured_s)
        return self._movement.summary(now_s)

    def _find(self, frame: Frame) -> list[str]:
        """Detect or predict the face; the names of models that failed."""
        now_s = frame.captured_s
        if frame.image.ndim != 3:  # depth shows no face, but a covered lens all the same
            self._face, self._hidden = None, Reason.OBSTRUCTED if covered(frame.image) else Reason.DISABLED
            return []
        self._face = self._tracker.predict(now_s)
        if not self._pace.due(now_s, self._face, self._tracker.still_s(now_s)):
            return []
        try:
            detections = self._detector.detect(frame.rgb)
        except ModelError:
            self._face = None
            return ["face"]
        face = self._face = self._tracker.update(detections, now_s, frame.rgb.shape[:2])
        found = face is not None and face.detected_s == face.captured_s
        self._hidden = self._view.judge(frame.rgb, now_s, face.box if face is not None and found else None)
        return []


class Mind:
    """One bed from Observation to Message."""

    def __init__(
        self,
        bed: str,
        cadence: Cadence,
        conditions: Sequence[Condition],
        composer: Composer,
        id_prefix: str,
        *,
        states: StateSettings | None = None,
    ) -> None:
        self.bed = bed
        self.estimator = StateEstimator(bed, states)
        self.engine = AlarmEngine(bed, conditions, id_prefix)
        self._bouts = Bouts(bed, id_prefix)
        self._summaries = Summaries(bed)
        self._composer = composer
        self._repeat_s = cadence.state_s
        self._estimates: list[Observation] = []  # heart rates not yet sent
        self._minutes: list[MovementSummary] = []  # of movement, not yet sent
        self._minute = _Minute()
        self._told: tuple[object, ...] = ()
        self._told_s = -math.inf

    def take(self, seen: Seen) -> None:
        """Take in what was seen; times must not go backwards."""
        face = seen.face
        self.estimator.face(face is not None, face.score if face else 0.0, seen.reason, seen.at_s)
        for observation in seen.observations:
            self.estimator.observe(observation)
            if observation.observer == HEART_RATE:
                self._estimates.append(observation)
        if seen.movement is not None:
            self.estimator.movement(seen.movement)
            self._minutes.append(seen.movement)

    def tick(self, health: Health, stamp: Stamp) -> tuple[Message, ...]:
        """What there is to say now: alarms first."""
        state = self.estimator.state(stamp.at_s)
        messages = [self._composer.alarm(event, stamp) for event in self.engine.step(state, health, stamp.at_s)]
        bouts = self._bouts.step(state)
        messages += [self._composer.behaviour(event, stamp) for event in bouts]
        messages += [self._composer.summary(held, stamp) for held in self._summaries.step(state, bouts)]
        active = self.engine.active()
        told = (*_gist(state), tuple((event.condition, event.revision) for event in active))
        if told != self._told or stamp.at_s - self._told_s >= self._repeat_s:
            self._told, self._told_s = told, stamp.at_s
            messages.append(self._composer.state(state, active, stamp))
        for estimate in self._estimates:
            messages.append(self._composer.heart_rate(self.bed, estimate, stamp))
            self._minute.add(estimate)
        self._estimates.clear()
        messages += [self._composer.movement(minute, stamp) for minute in self._minutes]
        self._minutes.clear()
        if self._minute.full(stamp.at_s):
            messages.append(self._minute.message(self._composer, self.bed, stamp))
            self._minute = _Minute()
        return tuple(messages)

    def finish(self, stamp: Stamp) -> tuple[Message, ...]:
        """The ends of the bouts that are open when watching ends, and what the hour that has begun held."""
        ends = [self._composer.behaviour(event, stamp) for event in self._bouts.finish(stamp.at_s)]
        return (*ends, *(self._composer.summary(held, stamp) for held in self._summaries.finish(stamp.at_s)))


@dataclass(slots=True)
class _Minute:
    start_s: float | None = None
    estimates: int = 0
    rates: list[HeartRate] = field(default_factory=list)

    def add(self, estimate: Observation) -> None:
        self.start_s = estimate.captured_s if self.start_s is None else self.start_s
        self.estimates += 1
        if isinstance(estimate.value, HeartRate):
            self.rates.append(estimate.value)

    def full(self, now_s: float) -> bool:
        return self.start_s is not None and now_s - self.start_s >= 60.0

    def message(self, composer: Composer, bed: str, stamp: Stamp) -> Message:
        method = self.rates[-1].method if self.rates else "rPPG"
        bpms = [rate.bpm for rate in self.rates]
        start_s = stamp.at_s if self.start_s is None else self.start_s
        return composer.heart_rate_minute(
            bed, stamp, start_s=start_s, bpms=bpms, estimates=self.estimates, method=method
        )


def _gist(state: PatientState) -> tuple[object, ...]:
    """What makes a state worth telling at once when it changes; of numbers that always change, only the reason."""
    readings = (state.face, state.eyes, state.sleep, state.cry, state.movement, state.posture, state.head_side)
    return (*((r.value, r.reason) for r in readings), state.heart_rate.reason, state.pain_cue.reason)


def state_settings(config: Config) -> StateSettings:
    """How a configuration wants states to be made."""
    return StateSettings(
        pain_window_s=config.pain_cue.window_s if config.pain_cue.enabled else None,
        pose_window_s=max(POSE_WINDOW_S, 5 / config.cadence.pose_hz) if config.models.pose else None,
    )


def build_sights(config: Config) -> tuple[Sight, ...]:
    """The seeing halves of all beds; one set of networks serves them all.

    Raises:
        ModelError: a model cannot be trusted or used.
    """
    folder = config.models.folder or manifest.default_folder()
    network = FaceDetector(Model.open(folder, config.models.face, config.models.threads))
    detector = OncePerPicture(network)
    expression = ExpressionModel(Model.open(folder, config.models.expression, config.models.threads))
    pain = PainModel(Model.open(folder, config.models.pain, config.models.threads)) if config.models.pain else None
    if config.pain_cue.enabled and pain is None and not expression.tells_actions:
        raise ModelError(
            f"model {expression.manifest.label} does not tell the facial actions of pain; name models.pain, "
            "or set pain_cue.enabled: false"
        )
    pulse = (
        PulseNetwork(Model.open(folder, config.models.pulse, config.models.threads)) if config.models.pulse else None
    )
    pose = _pose_network(config, folder)
    models = (network.manifest, expression.manifest, *(model.manifest for model in (pulse, pain, pose) if model))
    limbs = None
    if pose is not None:
        observer = PoseObserver(pose, several=config.pose.several)
        limbs = Limbs(config.cameras, config.cadence.pose_hz, observer, together=config.pose.mode != "single")
    observers: tuple[FaceObserver, ...] = (ExpressionObserver(expression),)
    if pain is not None:
        observers += (PainObserver(pain, expression),)
    return tuple(
        Sight(
            bed,
            config.cadence,
            detector=detector,
            observers=observers,
            heart_rate=HeartRateObserver(bed.id, network=pulse),
            limbs=limbs,
            movement=MovementWindow(bed.id, pose.manifest.threshold("visible")) if pose else None,
            models=models,
        )
        for bed in config.beds
    )


def _pose_network(config: Config, folder: Path) -> PoseNetwork | None:
    if config.models.pose is None:
        return None
    return PoseNetwork(Model.open(folder, config.models.pose, config.models.threads), config.pose.mode)

"""One typed tree of settings; unknown keys are errors, and each error names its place, the value and what is right."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from edgemon.errors import ConfigError
from edgemon.records import DEVICE_BED, Priority

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class Settings(BaseModel):
    """Base of every section: frozen, unknown keys refused, every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        # YAML reads on, off, yes and no as booleans, and pydantic would read those as 1 and 0
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and bool not in (kind, *get_args(kind)):
            raise ValueError("a switch (true, false, on, off, yes, no) cannot stand here")
        return value


S = TypeVar("S", bound=Settings)


class Region(Settings):
    """A rectangle in shares of the picture, 0..1 from the left and top."""

    x0: float = Field(0.0, ge=0, le=1)
    y0: float = Field(0.0, ge=0, le=1)
    x1: float = Field(1.0, ge=0, le=1)
    y1: float = Field(1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _has_area(self) -> Region:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError("x1 must be greater than x0, and y1 than y0")
        return self

    def overlaps(self, other: Region) -> bool:
        """Whether the two have area in common; a common edge has none."""
        wide = min(self.x1, other.x1) - max(self.x0, other.x0)
        high = min(self.y1, other.y1) - max(self.y0, other.y0)
        return wide > 0 and high > 0

    def __str__(self) -> str:
        return f"{{x0: {self.x0:g}, y0: {self.y0:g}, x1: {self.x1:g}, y1: {self.y1:g}}}"


class Bed(Settings):
    """One infant's place and the camera that watches it; beds of one camera differ in their regions of its picture."""

    id: Name
    source: str = Field(
        "clip",
        coerce_numbers_to_str=True,
        description="clip | clip2 | picamera[:N] | /dev/videoN or N | a file | rtsp://... | depth:FOLDER",
    )
    width_px: int = Field(640, ge=160, le=1920)
    height_px: int = Field(480, ge=120, le=1080)
    fps: float = Field(30.0, gt=0, le=120)
    rotate_deg: Literal[0, 90, 180, 270] = Field(0, description="clockwise, for a camera mounted from the head end")
    cot_region: Region = Region()
    loop: bool = Field(False, description="start a file again at its end")

    @property
    def camera(self) -> str:
        """The source by one name: two beds with the same one share its pictures."""
        if re.fullmatch(r"\d+", self.source):
            return f"/dev/video{int(self.source)}"
        return "picamera:0" if self.source == "picamera" else self.source


class Tls(Settings):
    """Certificates, as files only."""

    ca_file: Path
    cert_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        return self


class Mqtt(Settings):
    """The broker, and how hard messages are kept."""

    host: str = "127.0.0.1"
    port: int = Field(1883, ge=1, le=65535)
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password_file: Path | None = None
    tls: Tls | None = None
    keepalive_s: int = Field(15, ge=5, le=300)
    delivery: Literal["receipt", "puback"] = Field("puback", description="what deletes a message from the outbox")
    resend_after_s: float = Field(5.0, ge=1, le=60)
    outbox_max_bytes: int = Field(64 * 2**20, ge=2**16)
    outbox_max_age_s: float = Field(72 * 3600.0, ge=60)


class Cadence(Settings):
    """How often each stage runs; between face detections the tracker predicts."""

    face_hz: float = Field(
        5.0, gt=0, le=30, description="twice as often for 10 s after a face was lost, half while it lies still"
    )
    expression_hz: float = Field(4.0, gt=0, le=30)
    heart_rate_hz: float = Field(1.0, ge=0.5, le=5, description="a rate is told when two estimates within 2.5 s agree")
    pose_hz: float = Field(
        1.0, ge=0.5, le=30, description="rhythm and symmetry of movement need 10; rests while the board is hot or busy"
    )
    state_s: float = Field(30.0, ge=1, le=60, description="state is repeated at least this often")
    health_s: float = Field(10.0, ge=1, le=60)


class AlarmSetting(Settings):
    """What a unit may change of one alarm condition; None keeps the default of the table of conditions."""

    enabled: bool | None = None
    limit: float | None = None
    delay_s: float | None = Field(None, ge=0, le=600)
    escalate_s: float | None = Field(None, ge=10, le=3600, description="unacknowledged for this long, it escalates")
    priority: Priority | None = None
    latching: bool | None = None


class PainCue(Settings):
    """The share of seconds with facial actions of pain: information, never a clinical scale's score; off by default."""

    enabled: bool = False
    window_s: float = Field(60.0, ge=10, le=600)


class PoseSettings(Settings):
    """How several cameras share the pose network."""

    mode: Literal["single", "batch", "grid"] = Field(
        "single", description="each camera's picture by itself; all as one batch; all as tiles of one picture"
    )
    several: bool = Field(False, description="pictures may show other infants than those of the camera's beds")


class Models(Settings):
    """Which models are loaded; a relative folder is resolved against the configuration file."""

    folder: Path | None = Field(None, description="default: the models that ship with edgemon")
    face: str = "face"
    expression: str = "expression"
    pulse: str | None = Field("pulse", description="the network that reads the heart rate from 2 s on; null for none")
    pain: str | None = Field(None, description="the pipeline that tells the pain cue instead of the expression network")
    pose: str | None = Field(None, description="the network that finds joints and posture; null: no pose, no movement")
    threads: int = Field(1, ge=1, le=8)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are in use."""
        return tuple(name for name in (self.face, self.expression, self.pulse, self.pain, self.pose) if name)


class HomeAssistant(Settings):
    """Whether Home Assistant is told what to show, by MQTT discovery."""

    enabled: bool = False
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "homeassistant"


class Config(Settings):
    """The whole configuration of one device."""

    site: Name = "site"
    unit: Name = "unit"
    device: Name = "edgemon"
    state_dir: Path = Field(Path("/var/lib/edgemon"), description="the only folder that is written to")
    beds: tuple[Bed, ...] = Field((Bed(id="cot-1"),), max_length=4)
    mqtt: Mqtt = Mqtt()
    cadence: Cadence = Cadence()
    pain_cue: PainCue = PainCue()
    pose: PoseSettings = PoseSettings()
    models: Models = Models()
    alarms: dict[str, AlarmSetting] = Field(default_factory=dict)
    home_assistant: HomeAssistant = HomeAssistant()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("beds")
    @classmethod
    def _distinct(cls, beds: tuple[Bed, ...]) -> tuple[Bed, ...]:
        if not beds:
            raise ValueError("at least one bed belongs here, such as {id: cot-1, source: picamera}")
        names = [bed.id for bed in beds]
        if len(set(names)) < len(names) or DEVICE_BED in names:
            raise ValueError(f"bed ids must differ from one another, got {', '.join(names)}")
        for a, b in combinations(beds, 2):
            if a.camera == b.camera:
                _share(a, b)
        return beds

    @field_validator("models")
    @classmethod
    def _pain_model_in_use(cls, models: Models, info: ValidationInfo) -> Models:
        cue = info.data.get("pain_cue")
        if models.pain is not None and cue is not None and not cue.enabled:
            raise ValueError("pain is for the pain cue: set pain_cue.enabled: true, or models.pain: null")
        return models

    @property
    def cameras(self) -> tuple[tuple[Bed, ...], ...]:
        """The beds of each camera, in order."""
        by_camera: dict[str, list[Bed]] = {}
        for bed in self.beds:
            by_camera.setdefault(bed.camera, []).append(bed)
        return tuple(tuple(beds) for beds in by_camera.values())


_PICTURE = ("width_px", "height_px", "fps", "rotate_deg", "loop")


def _share(a: Bed, b: Bed) -> None:
    """Refuse two beds of one camera that want different pictures of it, or the same infant."""
    both = f"beds {a.id} and {b.id} share the camera {a.camera.rpartition('@')[2]}"
    differ = [name for name in _PICTURE if getattr(a, name) != getattr(b, name)]
    if differ:
        raise ValueError(f"{both}: give both the same {', '.join(differ)}")
    if a.cot_region.overlaps(b.cot_region):
        raise ValueError(
            f"{both}: their cot_regions {a.cot_region} and {b.cot_region} must not overlap;"
            " give each its own part of the picture, such as {x1: 0.5} and {x0: 0.5}"
        )


def load(path: Path) -> Config:
    """The configuration in a YAML file.

    Raises:
        ConfigError: all that is wrong, one line each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; give a UTF-8 YAML file") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """The configuration in a YAML text; `path` is for messages and for resolving relative files.

    Raises:
        ConfigError: all that is wrong, one line each.
    """
    return _resolved(validated(text, path, Config), path.parent)


def validated(text: str, path: Path, model: type[S]) -> S:
    """What a YAML text says, as a tree of settings; `path` is for messages, and no file is resolved.

    Raises:
        ConfigError: all that is wrong, one line each.
    """
    node, data = _read(text, path)
    if not isinstance(data, dict) or node is None:
        raise ConfigError(
            f"{path}:1:1: expected a mapping of settings such as 'device: cot-pi-1', got {type(data).__name__}"
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = (_explain(path, node, item["loc"], item["msg"], item["input"], model=model) for item in error.errors())
        raise ConfigError("\n".join(lines)) from error


class _Loader(yaml.SafeLoader):
    """SafeLoader that also names the place of a value which its tag or its characters forbid."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            value: object = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(
                problem=f"{str(node.value)[:40]!r} cannot be read as {kind}", problem_mark=node.start_mark
            ) from error
        if isinstance(value, str) and not value.isprintable():
            raise yaml.MarkedYAMLError(
                problem="a control character or line break; settings are plain text", problem_mark=node.start_mark
            )
        return value


def _read(text: str, path: Path) -> tuple[yaml.Node | None, object]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        _refuse_repeats(node, path, set())
        return node, loader.construct_document(node)
    except ConfigError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}{where}: not YAML: {problem}") from error
    except (ValueError, OverflowError) as error:  # an escape such as \UFFFFFFFF, which PyYAML hands to chr()
        raise ConfigError(f"{path}: not YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply; settings are at most four levels deep") from error


def _refuse_repeats(node: yaml.Node, path: Path, met: set[int]) -> None:
    at = f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
    if id(node) in met:
        raise ConfigError(f"{at}: an alias (*name) repeats what stands here; write it out where it is needed")
    met.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            _refuse_repeats(key, path, met)
            _refuse_repeats(value, path, met)
            if isinstance(key, yaml.ScalarNode):
                at = f"{path}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
                if key.value in seen:
                    raise ConfigError(f"{at}: the key {key.value!r} stands here twice; keep one")
                seen.add(key.value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeats(value, path, met)


def _explain(
    path: Path, node: yaml.Node, loc: tuple[int | str, ...], message: str, value: object, *, model: type[Settings]
) -> str:
    at = _locate(node, loc)
    name = ".".join(str(part) for part in loc)
    message = message.removeprefix("Value error, ")
    if "Extra inputs" in message:
        message = f"unknown key; known here: {', '.join(_known_keys(model, loc[:-1]))}"
        return f"{path}:{at}: {name}: {message}"
    shown = "***" if re.search("password|secret|key", name) else re.sub(r"//[^/@\s]*@", "//***@", repr(value))
    return f"{path}:{at}: {name}: {message}, got {shown[:80]}"


def _locate(node: yaml.Node, loc: tuple[int | str, ...]) -> str:
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(part)]
            if not found:
                break
            key, node = found[0]
            if part == loc[-1] and not isinstance(node, yaml.ScalarNode):
                node = key
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _known_keys(model: type[Settings], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is not None:  # else an index of a list or a key of a mapping
            model = _section(field.annotation) or model
    return sorted(model.model_fields)


def _section(annotation: object) -> type[Settings] | None:
    """The section that a field holds: by itself, or as one of a list, mapping or choice."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part)) is not None), None)


def _resolved(config: Config, folder: Path) -> Config:
    folder_of_models = config.models.folder
    models = config.models.model_copy(update={"folder": folder_of_models and folder / folder_of_models})
    mqtt = resolved_mqtt(config.mqtt, folder)
    return config.model_copy(update={"mqtt": mqtt, "models": models, "state_dir": folder / config.state_dir})


def resolved_mqtt(mqtt: Mqtt, folder: Path) -> Mqtt:
    """The same with its files resolved against the folder of the configuration."""

    def against(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    tls = mqtt.tls
    if tls is not None:
        tls = tls.model_copy(
            update={
                "ca_file": folder / tls.ca_file,
                "cert_file": against(tls.cert_file),
                "key_file": against(tls.key_file),
            }
        )
    return mqtt.model_copy(update={"tls": tls, "password_file": against(mqtt.password_file)})

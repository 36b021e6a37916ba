"""What a model file promises: NAME.toml beside NAME.onnx, checked before a byte of the model is used."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edgemon.errors import ModelError

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


FRAMES, IMAGES = "frames", "images"
Image = tuple[Literal[1], Literal[3], int, int]  # NCHW
Clip = tuple[Literal[1], Literal["frames"], Literal[3], int, int]  # any number of frames
Images = tuple[Literal["images"], Literal[3], int, int]  # any number of images at once


class ModelInput(_Part):
    """The image, images or clip that the network takes: float32, (x - mean) * scale per channel.

    Depth comes as three equal channels, as `edgemon.depth.depth_image` makes them.
    """

    name: Text
    shape: Image | Images | Clip
    colour: Literal["RGB", "depth"]
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return self.shape[-1], self.shape[-2]

    def sized(self, frames: int = 60, images: int = 1) -> tuple[int, ...]:
        """The shape as numbers, of a clip of so many frames or of so many images."""
        free = {FRAMES: frames, IMAGES: images}
        return tuple(free[size] if isinstance(size, str) else size for size in self.shape)


class ModelOutput(_Part):
    """One output tensor and what its numbers mean."""

    name: Text
    meaning: Text


class Origin(_Part):
    """Where training data came from, and under which licence."""

    data: Text
    licence: Text


class Metric(_Part):
    """One measured figure: on which data, under which condition."""

    name: Text
    data: Text
    condition: Text
    value: float


class Manifest(_Part):
    """Everything that a user of a model must know; written by `export`, checked at load."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    precision: Literal["fp32", "int8"]
    task: Literal["face", "expression", "pulse", "pain", "pose"]
    intended_use: Text
    thresholds: dict[str, float]
    input: ModelInput
    outputs: tuple[ModelOutput, ...] = Field(min_length=1)
    origins: tuple[Origin, ...] = Field(min_length=1)
    metrics: tuple[Metric, ...] = Field(min_length=1)

    @property
    def label(self) -> str:
        """The model as observations name it: id@version."""
        return f"{self.id}@{self.version}"

    def threshold(self, name: str) -> float:
        """One threshold.

        Raises:
            ModelError: the manifest does not name it.
        """
        if name not in self.thresholds:
            raise ModelError(f"model {self.label}: its manifest lacks the threshold {name!r}")
        return self.thresholds[name]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A manifest and the very bytes that were checked against it."""

    manifest: Manifest
    onnx: bytes


def default_folder() -> Path:
    """The models that ship with edgemon: inside an installed package, else beside a checkout's package."""
    package = Path(__file__).resolve().parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def parse(text: str, where: str) -> Manifest:
    """A manifest from TOML text.

    Raises:
        ModelError: not TOML, a field missing, unknown or of the wrong kind; the text names `where`.
    """
    try:
        return Manifest.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{where}: not TOML: {error}; restore it from the release") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ModelError(f"{where}: {field}: {first['msg']}; restore it from the release") from error


def load(folder: Path, name: str) -> ModelFile:
    """Read NAME.toml and NAME.onnx and refuse anything that is not exactly what was released.

    Raises:
        ModelError: a file is missing, empty or unreadable, or the model's SHA-256 is not the manifest's.
    """
    manifest_path, model_path = folder / f"{name}.toml", folder / f"{name}.onnx"
    try:
        manifest = parse(_read(manifest_path).decode(), str(manifest_path))
    except UnicodeDecodeError as error:
        raise ModelError(f"{manifest_path}: not UTF-8 text; restore it from the release") from error
    data = _read(model_path)
    digest = hashlib.sha256(data).hexdigest()
    if digest != manifest.sha256:
        raise ModelError(
            f"{model_path}: SHA-256 is {digest[:12]}..., its manifest says {manifest.sha256[:12]}...; "
            "restore both files from the same release"
        )
    return ModelFile(manifest, data)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}; set models.folder to where it lies") from error
    if not data:
        raise ModelError(f"{path}: is empty; restore it from the release")
    return data

"""Rasterises a scene of triangle parts with moderngl on EGL: colour, label, part and depth images."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from export.infant import shaders
from export.infant.mesh import Floats, Ints
from export.infant.paint import textures

Uniform = float | int | tuple[float, ...]
SHADOW_PX = 512
EGL: dict[str, Any] = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}


@dataclass(frozen=True)
class Part:
    """Triangles of one material; `canon` carries texture space, `extra` four masks (see shaders.py)."""

    place: Floats
    normal: Floats
    canon: Floats
    extra: Floats
    index: Ints
    material: int
    label: int
    object: int
    uniforms: dict[str, Uniform] = field(default_factory=dict)


Loaded = tuple[Part, tuple[dict[str, moderngl.VertexArray], list[moderngl.Buffer]]]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in world decimetres; `up` fixes its roll."""

    place: Floats
    target: Floats
    up: Floats
    field_deg: float

    def view(self) -> Floats:
        """World to camera (camera looks along -z), 4x4."""
        back = self.place - self.target
        back = back / np.linalg.norm(back)
        right = np.cross(self.up, back)
        right = right / np.linalg.norm(right)
        out = np.eye(4, dtype=np.float32)
        out[:3, :3] = np.stack([right, np.cross(back, right), back])
        out[:3, 3] = -out[:3, :3] @ self.place
        return out

    def clip(self, aspect: float, near: float = 0.5, far: float = 60.0) -> Floats:
        """World to clip space; `field_deg` is the vertical field of view."""
        f = 1.0 / np.tan(np.radians(self.field_deg) / 2)
        lens = np.zeros((4, 4), np.float32)
        lens[0, 0], lens[1, 1] = f / aspect, f
        lens[2, 2], lens[2, 3], lens[3, 2] = (far + near) / (near - far), 2 * far * near / (near - far), -1
        out: Floats = lens @ self.view()
        return out

    def project(self, points: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """Pixel positions (N, 2) and depths in decimetres (N,) of world points; `size` is (width, height)."""
        width, height = size
        cam = points @ self.view()[:3, :3].T + self.view()[:3, 3]
        f = 0.5 * height / np.tan(np.radians(self.field_deg) / 2)
        depth = -cam[:, 2]
        pixels = np.stack([width / 2 + f * cam[:, 0] / depth, height / 2 - f * cam[:, 1] / depth], axis=1)
        return pixels.astype(np.float32), depth.astype(np.float32)


@dataclass(frozen=True)
class Buffers:
    """Linear colour (H, W, 3), and per pixel label, object, face part and depth in decimetres (0 where empty).

    Face parts: 1 other face skin, 2 eyes, 3 mouth, 4 brow and nasal root, 5 cheeks and furrows; `bare_part` is of the
    newborn's head alone, no hand before it.
    """

    colour: Floats
    label: NDArray[np.uint8]
    object: NDArray[np.uint8]
    part: NDArray[np.uint8]
    depth: Floats
    bare_part: NDArray[np.uint8]


@lru_cache(maxsize=1)
def context() -> moderngl.Context:
    """The one EGL context of this process: objects of two contexts must not mix."""
    return moderngl.create_context(standalone=True, **EGL)


class Renderer:
    """Programs, textures and framebuffers for one image size (width, height)."""

    def __init__(self, size: tuple[int, int], textures: dict[str, NDArray[np.float32]]) -> None:
        self.size = size
        self.gl = context()
        self.programs = {
            (name, material): self.gl.program(
                vertex_shader=shaders.vertex(), fragment_shader=shaders.fragment(name, material)
            )
            for name in shaders.PASSES
            for material in shaders.MATERIALS
        }
        self.uniforms = {key: _uniforms(program) for key, program in self.programs.items()}
        depth = self.gl.depth_renderbuffer(size)
        self.plain = self.gl.framebuffer([self.gl.renderbuffer(size, 4, dtype="f4")], depth)
        self.ids = self.gl.framebuffer([self.gl.renderbuffer(size, 4, dtype="f4")], depth)
        self.shadow_map = self.gl.depth_texture((SHADOW_PX, SHADOW_PX))
        self.shadow_map.compare_func = ""
        self.shadow = self.gl.framebuffer([], self.shadow_map)
        self.textures: list[moderngl.Texture | moderngl.Texture3D] = [
            self.shadow_map,
            *(self._texture(array) for array in textures.values()),
        ]
        self.units = {name: unit for unit, name in enumerate(["shadow_map", *textures])}

    def _texture(self, array: NDArray[np.float32]) -> moderngl.Texture | moderngl.Texture3D:
        data = np.ascontiguousarray(np.clip(array * 255, 0, 255).astype(np.uint8))
        if data.ndim == 4:
            solid = self.gl.texture3d((data.shape[2], data.shape[1], data.shape[0]), 4, data.tobytes())
            solid.filter = (moderngl.LINEAR, moderngl.LINEAR)
            return solid
        flat = self.gl.texture((data.shape[1], data.shape[0]), 4, data.tobytes())
        flat.filter, flat.repeat_x, flat.repeat_y = (moderngl.LINEAR, moderngl.LINEAR), False, False
        return flat

    def draw(
        self,
        parts: list[Part],
        camera: Camera,
        uniforms: dict[str, Uniform],
        light_clip: Floats,
        *,
        bare: bool = True,
    ) -> Buffers:
        """Draws shadows, colours, labels, and, where `bare`, the head alone (object 1) for the face's visibility."""
        loaded, shared, matrices = self._begin(parts, camera, uniforms, light_clip)
        ids = self._ids(loaded, shared, matrices)
        colour = self._colour(loaded, shared, matrices, keep_depth=True)
        colour[ids[..., 3] == 0] = uniforms.get("wall", 0.0)  # where nothing is, the last picture's pixels still stand
        head = self._ids([pair for pair in loaded if pair[0].object == 1], shared, matrices) if bare else ids * 0
        _release(loaded)
        return Buffers(
            colour=colour,
            label=ids[..., 0].astype(np.uint8),
            object=ids[..., 1].astype(np.uint8),
            part=ids[..., 2].astype(np.uint8),
            depth=ids[..., 3].copy(),
            bare_part=head[..., 2].astype(np.uint8),
        )

    def draw_colour(
        self, parts: list[Part], camera: Camera, uniforms: dict[str, Uniform], light_clip: Floats
    ) -> Floats:
        """Only the linear colour (H, W, 3), for video."""
        loaded, shared, matrices = self._begin(parts, camera, uniforms, light_clip)
        colour = self._colour(loaded, shared, matrices, keep_depth=False)
        _release(loaded)
        return colour

    def _begin(
        self,
        parts: list[Part],
        camera: Camera,
        uniforms: dict[str, Uniform],
        light_clip: Floats,
    ) -> tuple[list[Loaded], dict[str, Uniform], dict[str, Floats]]:
        """Uploads the parts and draws the shadow map."""
        width, height = self.size
        self.gl.enable(moderngl.DEPTH_TEST)
        for unit, texture in enumerate(self.textures):
            texture.use(unit)
        shared: dict[str, Uniform] = {**uniforms, **self.units}
        matrices = {"clip": camera.clip(width / height), "view": camera.view(), "light_clip": light_clip}
        loaded = [(part, self._upload(part)) for part in parts]
        self._pass("shadow", self.shadow, loaded, shared, {**matrices, "clip": light_clip}, depth_only=True)
        return loaded, shared, matrices

    def _colour(
        self, loaded: list[Loaded], shared: dict[str, Uniform], matrices: dict[str, Floats], keep_depth: bool
    ) -> Floats:
        width, height = self.size
        self._pass("colour", self.plain, loaded, shared, matrices, keep_depth=keep_depth)
        flat = np.frombuffer(self.plain.read(components=4, dtype="f4"), np.float32).reshape(height, width, 4)
        return np.nan_to_num(flat[::-1, :, :3])

    def _ids(self, loaded: list[Loaded], shared: dict[str, Uniform], matrices: dict[str, Floats]) -> Floats:
        width, height = self.size
        self._pass("ids", self.ids, loaded, shared, matrices)
        flat = np.frombuffer(self.ids.read(components=4, dtype="f4"), np.float32)
        return np.nan_to_num(flat.reshape(height, width, 4)[::-1])

    def _upload(self, part: Part) -> tuple[dict[str, moderngl.VertexArray], list[moderngl.Buffer]]:
        packed = np.concatenate([part.place, part.normal, part.canon, part.extra], axis=1).astype(np.float32)
        vertices, index = self.gl.buffer(packed.tobytes()), self.gl.buffer(part.index.astype(np.int32).tobytes())
        layout = ["place", "normal", "canon", "extra"]
        sizes = dict(zip(layout, ("3f", "3f", "3f", "4f"), strict=True))
        arrays = {}
        for name in shaders.PASSES:
            program = self.programs[name, part.material]
            used = [attribute if attribute in program else None for attribute in layout]
            form = " ".join(sizes[a] if a in program else f"{4 * int(sizes[a][0])}x" for a in layout)
            arrays[name] = self.gl.vertex_array(program, [(vertices, form, *[a for a in used if a])], index)
        return arrays, [vertices, index]

    def _pass(
        self,
        name: str,
        target: moderngl.Framebuffer,
        loaded: list[Loaded],
        shared: dict[str, Uniform],
        matrices: dict[str, Floats],
        *,
        depth_only: bool = False,
        keep_depth: bool = False,
    ) -> None:
        target.use()
        self.gl.depth_func = "<="
        if not keep_depth:
            target.clear()
        bytes_of = {key: np.ascontiguousarray(matrix.T, np.float32).tobytes() for key, matrix in matrices.items()}
        for part, (arrays, _) in loaded:
            if depth_only and part.material == shaders.GROUND:
                continue
            known = self.uniforms[name, part.material]
            for key, data in bytes_of.items():
                if key in known:
                    known[key].write(data)
            values = {**shared, **part.uniforms, "label": float(part.label), "object": float(part.object)}
            for key, value in values.items():
                if key in known:
                    known[key].value = value
            arrays[name].render()


def _uniforms(program: moderngl.Program) -> dict[str, moderngl.Uniform]:
    return {name: program[name] for name in program if isinstance(program[name], moderngl.Uniform)}  # type: ignore[misc]


def _release(loaded: list[Loaded]) -> None:
    for _, (arrays, buffers) in loaded:
        for array in arrays.values():
            array.release()
        for buffer in buffers:
            buffer.release()


@lru_cache(maxsize=2)
def renderer(size: tuple[int, int]) -> Renderer:
    """The renderer of this process for an image size, made once."""
    return Renderer(size, textures())


def light_frustum(direction: Floats, centre: Floats, radius: float) -> Floats:
    """Orthographic clip matrix of a directional light looking at `centre` along -direction."""
    helper = np.array([0, 1, 0] if abs(direction[1]) < 0.9 else [1, 0, 0], np.float32)
    view = Camera(centre + direction * 3 * radius, centre, helper, 30).view()
    lens = np.diag(np.array([1 / radius, 1 / radius, -1 / (3 * radius), 1], np.float32))
    lens[2, 3] = -1.0
    out: Floats = lens @ view
    return out

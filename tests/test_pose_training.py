"""What the pose network learns from, and its release, on few and small pictures."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemon.manifest import load
from edgemon.records import HeadSide, Posture

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from export.__main__ import main
    from export.augment import Painter
    from export.dekr import DEKR, W16T, crown_deg
    from export.pose.stream import SIZE_PX, Cot, Cots, close, covered, far, grid, mirrored, spoiled, whole

seeds = st.integers(0, 10_000)
RIGHT_WRIST = 5


def a_cot(depth: bool = False, at: tuple[float, float] = (130.0, 100.0)) -> Cot:
    """One infant whose right wrist, and nothing else, is bright, or near."""
    persons = np.zeros((1, 14, 3), np.float32)
    persons[0] = [160.0, 120.0, 2]
    persons[0, RIGHT_WRIST] = (*at, 2)
    x, y = (round(v) for v in at)
    if depth:
        raw = np.full((240, 320), 900, np.uint16)
        raw[y - 4 : y + 5, x - 4 : x + 5] = 500
        return Cot(raw, persons, (Posture.SUPINE,), (HeadSide.LEFT,))
    rgb = np.full((240, 320, 3), 40, np.uint8)
    rgb[y - 4 : y + 5, x - 4 : x + 5] = 250
    return Cot(rgb, persons, (Posture.SUPINE,), (HeadSide.LEFT,))


def middle(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


@given(seeds, st.booleans())
@settings(deadline=None, max_examples=40)
def test_joints_go_where_their_pixels_go(seed: int, depth: bool) -> None:
    out = whole(np.random.default_rng(seed), a_cot(depth), SIZE_PX)
    assert out.raw.shape[:2] == SIZE_PX[::-1]
    swapped = out.head_sides == (HeadSide.RIGHT,)
    x, y, v = out.persons[0, RIGHT_WRIST - 1 if swapped else RIGHT_WRIST]
    spot = out.raw == 500 if depth else out.raw[..., 0] > 150
    inside = 8 < x < SIZE_PX[0] - 8 and 8 < y < SIZE_PX[1] - 8
    assert v == (2 if 0 <= x < SIZE_PX[0] and 0 <= y < SIZE_PX[1] else 0)
    if inside:
        assert middle(spot) == pytest.approx((x, y), abs=1.5)


@given(seeds, st.floats(-180, 180), st.floats(20, 60))
@settings(deadline=None, max_examples=30)
def test_from_close_by_infants_lie_upright_in_the_middle_and_are_equally_large(
    seed: int, crown: float, length_px: float
) -> None:
    cot = a_cot()
    person = np.full((14, 3), 2.0, np.float32)
    way = np.array([np.sin(np.radians(crown)), -np.cos(np.radians(crown))])
    person[:, :2] = np.array([150, 110]) - np.linspace(1, -0.8, 14)[:, None] * length_px * way
    person[[6, 7], :2] = np.array([150, 110]) - 0.3 * length_px * way
    cot.persons[0] = person
    out = close(np.random.default_rng(seed), cot, SIZE_PX)
    told = crown_deg(out.persons[0])
    assume(told is not None)  # the first look may err so far that a joint is left out
    assert told is not None
    assert abs(told) < 60
    places = out.persons[0, out.persons[0, :, 2] > 0, :2]
    apart = np.linalg.norm(places.max(axis=0) - places.min(axis=0))
    assert 0.45 < apart / SIZE_PX[0] < 1.1
    assert np.abs(places.mean(axis=0) - np.array(SIZE_PX) / 2).max() < 0.2 * SIZE_PX[0]


def test_a_mirror_of_a_mirror_is_what_was() -> None:
    cot = a_cot()
    twice = mirrored(mirrored(cot))
    np.testing.assert_array_equal(twice.persons, cot.persons)
    np.testing.assert_array_equal(twice.raw, cot.raw)
    assert twice.head_sides == cot.head_sides
    assert mirrored(cot).head_sides == (HeadSide.RIGHT,)


def test_a_grid_shows_four_pictures_as_the_device_tiles_them() -> None:
    painter, half = Painter(np.random.default_rng(3)), (SIZE_PX[0] // 2, SIZE_PX[1] // 2)
    shown = [spoiled(painter, whole(painter.rng, a_cot(depth=True), half)) for _ in range(4)]
    image, four = grid(shown)
    assert image.shape == (SIZE_PX[1], SIZE_PX[0], 3)
    assert four.persons.shape == (4, 14, 3)
    assert len(four.postures) == len(four.head_sides) == 4
    np.testing.assert_array_equal(image[half[1] :, half[0] :], shown[3][0])
    np.testing.assert_array_equal(four.persons[3], shown[3][1].persons[0] + np.array([*half, 0], np.float32))


def test_labels_do_not_slip_against_pixels() -> None:
    """Half a pixel, which middles and edges differ by, would be learned."""
    off = []
    for seed in range(300):
        out = whole(np.random.default_rng(seed), a_cot(at=(130.5, 100.5)), SIZE_PX)
        side = RIGHT_WRIST - 1 if out.head_sides == (HeadSide.RIGHT,) else RIGHT_WRIST
        x, y, _ = out.persons[0, side]
        if 12 < x < SIZE_PX[0] - 12 and 12 < y < SIZE_PX[1] - 12:
            weight = np.clip(out.raw[..., 0].astype(float) - 40, 0, None)
            rows, columns = np.mgrid[: SIZE_PX[1], : SIZE_PX[0]]
            middle_px = np.array([(weight * (columns + 0.5)).sum(), (weight * (rows + 0.5)).sum()]) / weight.sum()
            off.append((x, y) - middle_px)
    assert np.abs(np.mean(off, axis=0)).max() < 0.05


@given(seeds, st.booleans())
@settings(deadline=None, max_examples=20)
def test_what_is_covered_is_hidden_and_still_labelled(seed: int, depth: bool) -> None:
    cot = a_cot(depth)
    out = covered(Painter(np.random.default_rng(seed)), cot)
    changed = (out.raw != cot.raw).reshape(240, 320, -1).any(axis=2)
    for (x, y, before), (_, _, after) in zip(cot.persons[0], out.persons[0], strict=True):
        assert after == (1 if changed[int(y), int(x)] else before)


@given(seeds)
@settings(deadline=None, max_examples=20)
def test_depth_stays_depth(seed: int) -> None:
    raw = a_cot(depth=True).raw.copy()
    raw[:20] = 0
    out = far(np.random.default_rng(seed), np.asarray(raw, np.uint16))
    assert out.dtype == np.uint16
    assert not out[:20].any()
    assert (out[20:] > 0).mean() > 0.9


@pytest.mark.parametrize("depth", [False, True])
def test_the_network_gets_eight_bits_of_three_channels(depth: bool) -> None:
    image, _ = spoiled(Painter(np.random.default_rng(0)), a_cot(depth))
    assert (image.shape, image.dtype) == ((240, 320, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cots in colour and depth, two of them empty."""
    out = tmp_path_factory.mktemp("bodies") / "body"
    out.mkdir()
    rows = []
    for number in range(6):
        name, empty = f"{number:06d}", number >= 4
        cv2.imwrite(str(out / f"{name}.jpg"), np.asarray(a_cot().raw))
        cv2.imwrite(str(out / f"{name}.depth.png"), np.asarray(a_cot(depth=True).raw))
        joints = [[100.0 + 9 * j, 80.0 + 5 * j, 1 + (j + number) % 2] for j in range(14)]
        rows.append({
            "name": name, "identity": number, "keypoints": [] if empty else joints,
            "posture": None if empty else "prone", "head_side": None if empty else "left",
        })  # fmt: skip
    (out / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_the_stream_gives_what_the_losses_take(kind: str, folder: Path) -> None:
    stream = iter(Cots([folder], kind, 1, (64, 48)))  # type: ignore[arg-type]
    for _ in range(6):
        image, heatmap, mask, offset, weight, attributes, spot = next(stream)
        assert (image.shape, image.dtype) == ((3, 48, 64), torch.uint8)
        assert heatmap.shape == mask.shape == (15, 12, 16)
        assert spot.shape == (3, 12, 16)
        assert (offset.shape, weight.shape, attributes.shape) == ((28, 12, 16), (14, 12, 16), (2, 12, 16))


def test_an_untrained_network_is_released_with_its_thresholds_and_a_card(folder: Path, tmp_path: Path) -> None:
    weights, models = tmp_path / "weights.pt", tmp_path / "models"
    torch.manual_seed(0)
    torch.save(DEKR(W16T).state_dict(), weights)
    told = ["--val", str(folder), "--data", str(folder), "--train-mean", str(folder), "--folder", str(models)]
    assert main(["release", "pose-depth", "--weights", str(weights), *told]) == 0
    manifest = load(models, "pose-depth").manifest
    assert (manifest.task, manifest.input.colour, manifest.input.size_px) == ("pose", "depth", SIZE_PX)
    assert {"centre", "visible", "posture"} <= manifest.thresholds.keys()
    assert {metric.name for metric in manifest.metrics} >= {"OKS AP", "LOS"}
    card = (models / "cards" / "pose-depth.md").read_text()
    assert "int8 loses" in card
    assert "mean pose of body" in card


def test_a_release_without_empty_cots_says_what_is_missing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    rows = (folder / "truth.jsonl").read_text().splitlines()[:4]
    (full / "truth.jsonl").write_text("\n".join(rows) + "\n")
    for number in range(4):
        (full / f"{number:06d}.jpg").write_bytes((folder / f"{number:06d}.jpg").read_bytes())
    weights = tmp_path / "weights.pt"
    torch.save(DEKR(W16T).state_dict(), weights)
    told = ["--val", str(full), "--data", str(full), "--train-mean", str(full), "--folder", str(tmp_path / "models")]
    assert main(["release", "pose", "--weights", str(weights), *told]) == 2
    assert "no empty cot" in capsys.readouterr().err

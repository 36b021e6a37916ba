"""HRNet and DEKR: the official checkpoint's names, merged branches, targets, losses, graphs and commands."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemon.records import KEYPOINTS, HeadSide, Posture

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    import onnx
    import onnxruntime as ort

    from export import __main__ as command
    from export.dekr import CONFIGS, DEKR, MIRRORED, DekrConfig, LossConfig, encode, losses, named
    from export.dekr.adaptive import deform, regular_taps
    from export.dekr.config import W32, W48
    from export.dekr.graph import Turned, frozen, model_input, model_outputs, to_int8, to_onnx
    from export.dekr.official import (
        Official,
        by_gathering,
        checked,
        converted,
        load_official,
        made_up,
        read_checkpoint,
        shapes,
    )
    from export.dekr.parity import MAX_DIFFERENCE, MAX_DOUBLE, difference
    from export.dekr.targets import BACKGROUND, UNKNOWN, Targets, diagonal_cells, spot_of
    from export.nfd_parity import pictures

SMALL = DekrConfig(
    stem=8, bottleneck=4, bottlenecks=2, channels=(4, 8, 12), modules=(1, 2), blocks=1, heatmap_channels=6, per_joint=3
)
SIZE_PX = (64, 48)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def infant(seed: int = 0, v: int = 2) -> NDArray[np.float32]:
    places = np.random.default_rng(seed).uniform(4, 44, (1, len(KEYPOINTS), 2))
    return np.concatenate([places, np.full((1, len(KEYPOINTS), 1), v)], axis=2).astype(np.float32)


def batched(targets: Targets) -> list[torch.Tensor]:
    return [torch.from_numpy(part)[None] for part in targets]


def images(count: int = 1, size_px: tuple[int, int] = SIZE_PX) -> torch.Tensor:
    return pictures(count, size_px, torch.Generator().manual_seed(5))


def test_the_official_checkpoints_names_and_sizes() -> None:
    assert len(shapes(W32)) == len(shapes(W48)) == 2192
    told = shapes(W32)
    assert told["transition_offset.0.weight"] == (210, 480, 1, 1)
    assert told["offset_feature_layers.13.1.transform_matrix_conv.weight"] == (4, 15, 3, 3)
    assert told["stage4.2.fuse_layers.3.0.2.0.weight"] == (256, 32, 3, 3)
    assert told["head_heatmap.1.weight"] == (15, 32, 1, 1)
    millions = sum(math.prod(s) for name, s in told.items() if "running" not in name and s and "regular" not in name)
    assert millions / 1e6 == pytest.approx(29.52, abs=0.01)


@pytest.mark.parametrize(("config", "size_px"), [(SMALL, SIZE_PX), (CONFIGS["w16s"], (96, 64))], ids=["small", "w16s"])
def test_merged_branches_are_the_official_ones(config: DekrConfig, size_px: tuple[int, int]) -> None:
    state = {name: value.double() for name, value in made_up(config, 1).items()}
    given_images = images(2, size_px).double()
    with torch.inference_mode():
        ours = load_official(state, config).double()(given_images)
        theirs = Official(state, config)(given_images)
    assert difference(ours, theirs) < MAX_DOUBLE
    assert [tuple(x.shape) for x in ours] == [(2, n, size_px[1] // 4, size_px[0] // 4) for n in (15, 28)]


def test_moved_taps_are_read_between_cells_and_beyond_the_edge() -> None:
    """Both ways to read maps between cells, and the whole block against sums written out."""
    state, given_images = made_up(SMALL, 2), images()
    with torch.inference_mode():
        assert (
            difference(Official(state, SMALL, by_gathering)(given_images), Official(state, SMALL)(given_images)) < 1e-5
        )
    generator = torch.Generator().manual_seed(3)
    x, offset = torch.randn(1, 4, 5, 6, generator=generator), 2 * torch.randn(1, 36, 5, 6, generator=generator)
    weight, bias = torch.randn(4, 2, 3, 3, generator=generator), torch.randn(4, generator=generator)
    found = deform(x, offset, weight, bias)[0]
    for channel, row, column in ((0, 0, 0), (1, 4, 5), (2, 2, 3), (3, 1, 0)):
        group, total = channel // 2, float(bias[channel])
        for k, (ry, rx) in enumerate(regular_taps().tolist()):
            dy, dx = offset[0, group * 18 + 2 * k : group * 18 + 2 * k + 2, row, column].tolist()
            for c in range(2):
                value = bilinear(x[0, 2 * group + c].numpy(), row + ry + dy, column + rx + dx)
                total += float(weight[channel, c].flatten()[k]) * value
        assert float(found[channel, row, column]) == pytest.approx(total, abs=1e-4)


def bilinear(values: NDArray[np.float32], y: float, x: float) -> float:
    total, y0, x0 = 0.0, math.floor(y), math.floor(x)
    for row in (y0, y0 + 1):
        for column in (x0, x0 + 1):
            if 0 <= row < values.shape[0] and 0 <= column < values.shape[1]:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * float(values[row, column])
    return total


def test_taps_begin_at_the_centre() -> None:
    network = DEKR(SMALL)
    weight, bias = network.head_offset.blocks[0].offsets()
    assert not weight.any()
    assert torch.equal(bias.view(14, 9, 2), -regular_taps().expand(14, 9, 2))


def test_checkpoints_are_loaded_strictly(tmp_path: Path) -> None:
    state = made_up(SMALL, 1)
    assert set(converted(state, SMALL)) == set(DEKR(SMALL).state_dict())
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(wrapped, tmp_path / "official.pth")
    assert checked(read_checkpoint(tmp_path / "official.pth"), SMALL).keys() == state.keys()
    for broken, message in (
        ({k: v for k, v in state.items() if k != "bn1.bias"}, r"lacks bn1\.bias \(1 such\)"),
        (state | {"bn9.bias": state["bn1.bias"]}, r"an unknown bn9\.bias"),
        (state | {"conv1.weight": torch.zeros(1)}, r"conv1\.weight is \(1,\)"),
        ({k: v + 1 if "regular" in k else v for k, v in state.items()}, "not a 3x3 grid"),
    ):
        with pytest.raises(ValueError, match=message):
            load_official(broken, SMALL)
    with pytest.raises(ValueError, match="no attributes"):
        load_official(state, replace(SMALL, attributes=True))
    (tmp_path / "text.pth").write_text("text")
    with pytest.raises(ValueError, match=r"text\.pth: no checkpoint"):
        read_checkpoint(tmp_path / "text.pth")


def test_configs_refuse_what_is_no_network() -> None:
    with pytest.raises(ValueError, match="stages"):
        DekrConfig(channels=(8, 16), modules=(1, 1))
    with pytest.raises(ValueError, match="no head"):
        DekrConfig(head="dilated")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no network 'w64'"):
        named("w64")


def test_targets_of_one_infant() -> None:
    persons = infant()
    persons[0, 3, 2], persons[0, 5] = 1, (0, 0, 0)
    told = encode(persons, SIZE_PX, visible_only=True, postures=[Posture.SIDE], head_sides=[None])
    cells = persons[0, :, :2] / 4
    assert not told.heatmap[3].any()
    assert told.mask[3].max() == 1
    assert told.mask[5].max() == np.float32(BACKGROUND)
    assert encode(persons, SIZE_PX).heatmap[3].max() > 0.8
    y, x = np.unravel_index(told.heatmap[0].argmax(), told.heatmap[0].shape)
    assert np.abs(np.array([x, y]) - cells[0]).max() <= 0.5
    known = persons[0, :, 2] > 0
    centre = cells[known].mean(axis=0)
    x, y = centre.astype(int)
    taught = told.weight[0] > 0
    assert taught.sum() == 64
    assert taught[y - 4 : y + 4, x - 4 : x + 4].all()
    assert told.weight[0].max() == pytest.approx(1 / diagonal_cells(cells[known]))
    assert not told.weight[5].any()
    for joint in np.flatnonzero(known):
        found = np.array([x, y]) - told.offset[2 * joint : 2 * joint + 2, y, x]
        assert found == pytest.approx(cells[joint], abs=1e-5)
    assert (told.attributes[0] == 1).sum() == 9
    assert told.attributes[0, y, x] == 1
    assert (told.attributes[1] == UNKNOWN).all()


def test_the_smaller_infant_is_taught_where_centres_meet() -> None:
    large, small = infant(1), infant(1)
    small[0, :, :2] = small[0, :, :2].mean(axis=0) + (small[0, :, :2] - small[0, :, :2].mean(axis=0)) / 4
    for order in ([large, small], [small, large]):
        told = encode(np.concatenate(order), SIZE_PX)
        alone = encode(small, SIZE_PX)
        assert np.array_equal(told.offset, alone.offset)
        assert np.array_equal(told.weight, alone.weight)


@given(st.integers(0, 1000), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_mirrored_infant_is_a_mirrored_target(seed: int, count: int) -> None:
    """Heatmaps of a picture mirrored around a column of cells, joints renamed, are the mirrored heatmaps."""
    persons = np.concatenate([infant(seed + k) for k in range(count)])
    mirrored = persons[:, list(MIRRORED)]
    mirrored[..., 0] = 4 * (SIZE_PX[0] // 4 - 1) - mirrored[..., 0]
    one, other = encode(persons, SIZE_PX), encode(mirrored, SIZE_PX)
    order = [*MIRRORED, 14]
    assert other.heatmap[order, :, ::-1] == pytest.approx(one.heatmap, abs=0.02)  # cut at 3 sigma, to the cell


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_targets_lie_within_their_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    persons = rng.uniform(-30, 90, (2, 14, 3)).astype(np.float32)
    persons[..., 2] = rng.integers(0, 3, (2, 14))
    told = encode(persons, SIZE_PX, visible_only=bool(seed % 2))
    assert told.heatmap.min() >= 0
    assert told.heatmap.max() <= 1
    assert set(np.unique(told.mask)) <= {np.float32(BACKGROUND), np.float32(1)}
    assert 0 <= told.weight.min() <= told.weight.max() <= 1
    assert np.isfinite(told.offset).all()
    assert not told.offset[::2][told.weight == 0].any()


def test_nobody_teaches_an_empty_picture() -> None:
    told = encode(np.zeros((0, 14, 3), np.float32), SIZE_PX)
    assert not told.heatmap.any()
    assert not told.weight.any()
    network = DEKR(replace(SMALL, head="shared", attributes=True)).eval()
    terms = losses(network(images()), batched(told))
    assert float(terms["offset"].detach()) == float(terms["attributes"].detach()) == 0


def test_where_infants_are_to_be_found_only_centres_and_spots_are_taught() -> None:
    close = encode(infant(), SIZE_PX, postures=[Posture.PRONE])
    told = encode(infant(), SIZE_PX, postures=[Posture.PRONE], head_sides=[HeadSide.LEFT], joints=False)
    np.testing.assert_array_equal(told.heatmap[14], close.heatmap[14])
    np.testing.assert_array_equal(told.mask[14], close.mask[14])
    assert not told.heatmap[:14].any()
    assert not told.weight.any()
    assert not told.mask[:14].any()
    assert (told.attributes == UNKNOWN).all()
    known = np.isfinite(told.spot).all(axis=0)
    assert known.sum() == (close.attributes[0] == 2).sum() == 9
    np.testing.assert_allclose(told.spot[:, known], np.repeat(spot_of(infant()[0])[:, None], 9, axis=1))
    assert not np.isfinite(close.spot).any()


@given(st.floats(-179, 179), st.floats(0.3, 3))
def test_a_spot_tells_the_crown_and_the_reach(crown: float, octaves: float) -> None:
    """Of an infant of all joints at the hips but neck and crown; the crown is the farthest from the mean."""
    person = np.full((14, 3), 100.0, np.float32)
    way = np.array([np.sin(np.radians(crown)), -np.cos(np.radians(crown))])
    person[12, :2] += 64 * 2**octaves * 14 / 12 * way
    person[13, :2] += 64 * 2**octaves * 14 / 12 * way
    sine, cosine, reach = spot_of(person)
    assert np.degrees(np.arctan2(sine, cosine)) == pytest.approx(crown, abs=0.1)
    assert reach == pytest.approx(octaves, abs=0.01)
    person[13, 2] = 0
    assert np.isnan(spot_of(person)[:2]).all()


def test_losses_as_printed() -> None:
    told = encode(infant(), SIZE_PX, postures=[Posture.PRONE], head_sides=[HeadSide.MIDLINE])
    targets = batched(told)
    right = torch.full((1, 9, 12, 16), -20.0)
    right[:, 2], right[:, 5] = 20, 20
    terms = losses((targets[0], targets[2], right), targets)
    assert {name: round(float(value), 6) for name, value in terms.items()} == {
        "heatmap": 0,
        "offset": 0,
        "attributes": 0,
        "spot": 0,
    }
    finds = batched(encode(infant(), SIZE_PX, joints=False))
    right[:, 6:] = torch.nan_to_num(finds[5])
    assert float(losses((finds[0], finds[2], right), finds)["spot"]) == 0
    right[:, 6:] += 1
    told = losses((finds[0], finds[2], right), finds, LossConfig(spot=0.5))
    assert float(told["spot"]) == pytest.approx(0.5)
    terms = losses((targets[0] + 0.5, targets[2] + 1), targets, LossConfig(offset=0.5))
    assert float(terms["heatmap"]) == pytest.approx(0.25 * float(targets[1].mean()))
    diagonal = diagonal_cells(infant()[0, :, :2] / 4)
    assert float(terms["offset"]) == pytest.approx(0.5 * (1 - 0.5 / 9) / diagonal, rel=1e-4)
    assert set(terms) == {"heatmap", "offset"}


@pytest.mark.parametrize("head", ["adaptive", "plain", "shared"])
def test_every_head_learns(head: str) -> None:
    torch.manual_seed(1)
    network = DEKR(replace(SMALL, head=head, attributes=True))
    targets = batched(encode(infant(), SIZE_PX, postures=[Posture.SUPINE], head_sides=[HeadSide.LEFT]))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    totals = []
    for _ in range(12):
        total = torch.stack(list(losses(network(images()), targets).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.7 * totals[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def run_graph(graph: bytes, given_images: torch.Tensor) -> list[torch.Tensor]:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(x) for x in session.run(None, {"images": given_images.numpy()})]


@pytest.mark.parametrize("head", ["adaptive", "plain", "shared"])
def test_graphs_take_any_number_of_pictures(head: str) -> None:
    torch.manual_seed(2)
    config = replace(SMALL, head=head, attributes=head != "adaptive")
    network = load_official(made_up(SMALL, 4), SMALL) if head == "adaptive" else DEKR(config).eval()
    graph = to_onnx(network, SIZE_PX)
    told = onnx.load_from_string(graph)
    kinds = {node.op_type for node in told.graph.node}
    assert ("DeformConv" in kinds) == (head == "adaptive")
    assert "BatchNormalization" not in kinds
    assert [x.name for x in told.graph.output] == [x.name for x in model_outputs(config)]
    with torch.inference_mode():
        for count in (1, 3):
            given_images = images(count)
            assert difference(run_graph(graph, given_images), network(given_images)) < MAX_DIFFERENCE
            assert difference(frozen(network)(given_images), network(given_images)) < MAX_DIFFERENCE


def test_a_turned_graph_tells_places_of_the_picture_as_it_is() -> None:
    """The place that a cell of the turned maps tells, turned back by hand in px, is what the wrapper tells."""
    network = load_official(made_up(SMALL, 4), SMALL)
    given_images = images()
    with torch.inference_mode():
        plain = network(given_images.flip(2, 3))[1][0].numpy()
        turned = Turned(network)(given_images)
        assert difference(run_graph(to_onnx(network, SIZE_PX, turned=True), given_images), turned) < MAX_DIFFERENCE
    told = turned[1][0].numpy()
    x, y = 3, 5
    by_hand = SIZE_PX[0] - 1 - 4 * (x - plain[2 * 7, y, x])
    assert 4 * (15 - x - told[2 * 7, 11 - y, 15 - x]) == pytest.approx(by_hand, abs=1e-3)


def test_int8_graphs_stay_near() -> None:
    torch.manual_seed(3)
    network = DEKR(replace(SMALL, head="plain", attributes=True))
    network.train()(images(4))
    fp32 = to_onnx(network.eval(), SIZE_PX)
    int8 = to_int8(fp32, [images(1).numpy(), images(2)[1:].numpy()])
    kinds = {node.op_type for node in onnx.load_from_string(int8).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    for wanted, found in zip(run_graph(fp32, images()), run_graph(int8, images()), strict=True):
        assert float((wanted - found).abs().mean()) < 0.1 * float(wanted.std()) + 1e-3


def test_a_manifest_can_tell_the_graph() -> None:
    spec = model_input((256, 192))
    assert spec.size_px == (256, 192)
    assert spec.sized(images=4) == (4, 3, 192, 256)
    with pytest.raises(ValueError, match="multiples of 16"):
        to_onnx(DEKR(SMALL), (40, 48))


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["dekr-parity", "--configs", "w16s", "--size", "64", "--images", "1"]) == 0
    assert "equal" in capsys.readouterr().out
    out = tmp_path / "w16s.onnx"
    assert command.main(f"dekr-export --config w16s --head plain --attributes --size 64x32 --out {out}".split()) == 0
    assert "heatmap, offset, attributes" in capsys.readouterr().out
    assert len(run_graph(out.read_bytes(), torch.zeros(2, 3, 32, 64))) == 3
    bad = tmp_path / "bad.pth"
    bad.write_text("no weights")
    assert command.main(f"dekr-export --config w16s --official {bad} --out {out}".split()) == 2
    assert "no checkpoint" in capsys.readouterr().err


def test_a_wrong_weight_is_noticed() -> None:
    state, given_images = made_up(SMALL, 1), images()
    theirs = Official(state, SMALL)
    other = load_official(state | {"offset_final_layer.6.bias": torch.ones(2)}, SMALL)
    with torch.inference_mode():
        assert difference(other(given_images), theirs(given_images)) > 1e-3

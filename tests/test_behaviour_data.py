"""Anybody's labelled faces: layouts, words, clips, near-duplicates and splits by infant, on drawn pictures."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    pytest.importorskip("torch", reason="needs the extra `export`")
    from export.babyehanet import TARGETS
    from export.behaviour.faces import SIDE_PX, Faces, crop_all, pictures
    from export.behaviour.sample import MEANINGS, Reading, columns_of, joined, meanings_of
    from export.behaviour.similar import dhash, distance, linked, near
    from export.behaviour.sources import open_all, open_one
    from export.behaviour.splits import grouping, left_out, parts

USUAL = Reading()


def texture(seed: int, side: int = 96) -> np.ndarray:
    cells = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(cv2.resize(cells, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def draw(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), texture(seed))
    return path


def a_table(folder: Path, text: str, names: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    for number, name in enumerate(names):
        draw(folder / name, number)
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def a_clip(path: Path, frames: int = 20, rate_hz: float = 10.0) -> Path:
    """Frame k is grey of 10 * k."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate_hz, (64, 64))
    for k in range(frames):
        writer.write(np.full((64, 64, 3), 10 * k, np.uint8))
    writer.release()
    return path


def test_folders_are_read_at_any_depth_and_in_any_case(tmp_path: Path) -> None:
    for name in ("train/Sleep/a.png", "valid/AWAKE/x/b.jpg", "set/crying/c.png", "Normal/d.png", "other/e.png"):
        draw(tmp_path / name)
    found = {s.path.name: s for s in open_one(tmp_path, USUAL)}
    assert {name: dict(s.labels) for name, s in found.items()} == {
        "a.png": {"eyes_closed": 1},
        "b.jpg": {"eyes_closed": 0},
        "c.png": {"crying": 1},
        "d.png": {"crying": 0},
    }
    assert all(s.framing == "crop" and s.subject is None for s in found.values())


def test_a_picture_in_two_label_folders_has_both_unless_they_contradict(tmp_path: Path) -> None:
    draw(tmp_path / "one/sleep/normal/a.png")
    assert dict(open_one(tmp_path / "one", USUAL)[0].labels) == {"eyes_closed": 1, "crying": 0}
    draw(tmp_path / "two/sleep/awake/b.png")
    with pytest.raises(ValueError, match=r"b\.png: eyes_closed is both 1 and 0"):
        open_one(tmp_path / "two", USUAL)


def test_subjects_are_told_by_file_names(tmp_path: Path) -> None:
    draw(tmp_path / "sleep/baby07_001.png")
    reading = Reading(subject=re.compile(r"(baby\d+)_"))
    assert open_one(tmp_path, reading)[0].subject == "baby07"


def test_a_table_of_subject_and_label_is_read(tmp_path: Path) -> None:
    path = a_table(tmp_path, "Filename,Subject,Label\na.png,S01,Pain\nb.png,S02,rest;awake\n")
    one, other = open_one(tmp_path, USUAL)
    assert (one.subject, one.framing, one.where) == ("S01", "scene", f"{path}:2")
    assert dict(one.labels) == {"brow_bulge": 1, "eye_squeeze": 1, "nasolabial_furrow": 1}
    assert other.labels["crying"] == 0 == other.labels["eyes_closed"]


def test_columns_and_words_by_other_names(tmp_path: Path) -> None:
    path = a_table(tmp_path, "photo,who,stimulus\na.png,S01,heel lance\nb.png,S01,air\n")
    columns = columns_of(["file=Photo", "subject=who", "label=stimulus"])
    reading = Reading(meanings_of(["heel lance=crying:1,eyes_closed:1"]), columns, framing="crop")
    (sample,) = open_one(path, reading)
    assert (dict(sample.labels), sample.framing) == ({"crying": 1, "eyes_closed": 1}, "crop")


def test_columns_of_targets_may_be_left_empty(tmp_path: Path) -> None:
    a_table(tmp_path, "file,eyes_closed,crying\na.png,1,\nb.png,,0\n")
    assert [dict(s.labels) for s in open_one(tmp_path, USUAL)] == [{"eyes_closed": 1}, {"crying": 0}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,label\na.png,sleep\nc.png,awake\n", r"labels\.csv:3: .*c\.png: no such file"),
        ("file,label\na.png,drowsy\n", r"labels\.csv:2: label 'drowsy'; one of sleep"),
        ("file,label\na.png\n", r"labels\.csv:2: not 2 cells"),
        ("file,label\na.png,sleep,awake\n", r"labels\.csv:2: not 2 cells"),
        ("file,label\n,sleep\n", r"labels\.csv:2: no file"),
        ("file,label\na.png,sleep;awake\n", r"labels\.csv:2: eyes_closed is both"),
        ("file,crying\na.png,maybe\n", r"labels\.csv:2: crying is 'maybe'"),
        ("picture,what\na.png,sleep\n", r"labels\.csv:1: needs columns of file and label"),
        ("file,label\n", "holds no labelled face"),
    ],
)
def test_a_malformed_table_is_named_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    a_table(tmp_path, text)
    with pytest.raises(ValueError, match=told):
        open_one(tmp_path, USUAL)


@pytest.mark.parametrize("told", ["nonsense", "a=eyes:1", "a=crying:2", "=crying:1"])
def test_a_malformed_meaning_is_told(told: str) -> None:
    with pytest.raises(ValueError, match="--meaning"):
        meanings_of([told])


def test_what_is_not_there_or_not_known_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder or csv"):
        open_all([tmp_path / "nowhere"], USUAL)
    draw(tmp_path / "babies/a.png")
    with pytest.raises(ValueError, match="holds babies; expected"):
        open_one(tmp_path, USUAL)


def test_clips_give_frames_of_their_intervals(tmp_path: Path) -> None:
    a_clip(tmp_path / "night.avi")
    (tmp_path / "labels.csv").write_text("file,start_s,end_s,label\nnight.avi,0,1,sleep\nnight.avi,0.5,2,normal\n")
    samples = open_one(tmp_path, Reading(rate_hz=4.0, framing="crop"))
    assert [s.time_s for s in samples] == [k / 4 for k in range(8)]
    assert [set(s.labels) for s in samples[:3]] == [{"eyes_closed"}, {"eyes_closed"}, {"eyes_closed", "crying"}]
    greys = [rgb.mean() / 10 for _, rgb in pictures(samples)]
    assert greys == pytest.approx([int(k / 4 * 10) for k in range(8)], abs=0.35)
    assert {s.source for s in samples} == {str(tmp_path / "night.avi")}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("night.avi,1,9,sleep", r"labels\.csv:2: .*ends at 2\.00 s"),
        ("night.avi,3,1,sleep", r"labels\.csv:2: 3 to 1 s is no interval"),
        ("night.avi,x,1,sleep", r"labels\.csv:2: 'x' is not a number"),
        ("night.avi,0,1,sleep\nnight.avi,0,1,awake", r"labels\.csv:3: eyes_closed is both"),
        ("none.avi,0,1,sleep", r"labels\.csv:2: .*none\.avi: no such file"),
        ("labels.csv,0,1,sleep", r"labels\.csv:2: .*not a clip that can be read"),
    ],
)
def test_a_malformed_interval_is_named_with_its_line(row: str, told: str, tmp_path: Path) -> None:
    a_clip(tmp_path / "night.avi")
    (tmp_path / "labels.csv").write_text(f"file,start_s,end_s,label\n{row}\n")
    with pytest.raises(ValueError, match=told):
        list(pictures(open_one(tmp_path, Reading(framing="crop"))))


def test_crops_hold_the_whole_picture_as_a_detectors_box_would(tmp_path: Path) -> None:
    draw(tmp_path / "sleep/a.png", 3)
    draw(tmp_path / "crying/b.png", 4)
    faces, missed = crop_all(open_one(tmp_path, USUAL), None)
    assert (missed, faces.crops.shape) == (0, (2, SIDE_PX, SIDE_PX, 3))
    inner = round(SIDE_PX / 1.5)
    edge = (SIDE_PX - inner) // 2
    small = cv2.resize(texture(4)[..., ::-1], (inner, inner), interpolation=cv2.INTER_AREA)
    middle = faces.crops[0][edge : edge + inner, edge : edge + inner]
    assert np.abs(middle.astype(int) - small)[2:-2, 2:-2].mean() < 12
    assert not faces.crops[0][: edge - 2].any()
    told = {name: faces.weight[:, i].tolist() for i, name in enumerate(TARGETS) if faces.weight[:, i].any()}
    assert told == {"eyes_closed": [0, 1], "crying": [1, 0]}


class Blind:
    def detect(self, image: np.ndarray, threshold: float | None = None) -> tuple[()]:
        return ()


def test_scenes_without_a_face_are_counted_or_told(tmp_path: Path) -> None:
    a_table(tmp_path, "file,label\na.png,sleep\n")
    draw(tmp_path / "more/sleep/c.png", 5)
    samples = open_all([tmp_path, tmp_path / "more"], USUAL)
    assert crop_all(samples, Blind())[1] == 1
    with pytest.raises(ValueError, match="no face is found in any of 1 pictures"):
        crop_all(samples[:1], Blind())


words = st.sampled_from(sorted(MEANINGS))


@given(words, words)
def test_joining_is_symmetric_or_refused(one: str, other: str) -> None:
    try:
        both = joined(MEANINGS[one], MEANINGS[other], "here")
    except ValueError:
        with pytest.raises(ValueError, match="is both"):
            joined(MEANINGS[other], MEANINGS[one], "here")
    else:
        assert both == joined(MEANINGS[other], MEANINGS[one], "here")


@given(st.integers(0, 10_000), st.floats(0.6, 1.0), st.booleans(), st.floats(-1.5, 1.5))
@settings(max_examples=30, deadline=None)
def test_copies_are_near_though_dimmed_mirrored_blurred_and_turned(
    seed: int, gain: float, mirrored: bool, off_deg: float
) -> None:
    rgb = texture(seed)
    copy = (cv2.GaussianBlur(rgb, (3, 3), 0) * gain).astype(np.uint8)
    turn = cv2.getRotationMatrix2D((47.5, 47.5), 10 + off_deg, 1.0)
    copy = cv2.warpAffine(copy, turn, (96, 96), borderMode=cv2.BORDER_REPLICATE)
    copy = np.ascontiguousarray(copy[:, ::-1]) if mirrored else copy
    assert distance(dhash(rgb)[None], dhash(copy)[None])[0, 0] <= 12  # of two different ones hardly a pair is
    assert distance(dhash(rgb)[None], dhash(rgb)[None])[0, 0] == 0


def test_different_pictures_are_not_near() -> None:
    hashes = np.array([dhash(texture(seed)) for seed in range(120)])
    assert sum(len(pairs) for pairs in near(hashes, np.arange(120))) <= 1
    twice = np.concatenate([hashes, hashes[:3]])
    found = {tuple(pair) for pairs in near(twice, np.arange(123)) for pair in pairs.tolist()}
    assert {(0, 120), (1, 121), (2, 122)} <= found
    assert not [pair for pairs in near(twice, np.zeros(123, np.int64)) for pair in pairs]


def test_pairs_are_found_across_the_blocks_that_are_compared() -> None:
    hashes = np.random.default_rng(2).integers(0, 2**63, (600, 14)).astype(np.uint64)
    hashes[599], hashes[300] = hashes[2], hashes[299]
    found = np.concatenate(list(near(hashes, np.arange(600))))
    assert found.tolist() == [[2, 599], [299, 300]]


@given(st.integers(1, 20), st.data())
@settings(max_examples=50, deadline=None)
def test_linked_items_share_a_group_and_groups_are_the_finest(count: int, data: st.DataObject) -> None:
    item = st.integers(0, count - 1)
    pairs = np.array(data.draw(st.lists(st.tuples(item, item), max_size=12)), np.int64).reshape(-1, 2)
    groups = linked(count, pairs)
    reach = np.eye(count, dtype=bool)
    reach[tuple(pairs.T)] = reach[tuple(pairs[:, ::-1].T)] = True
    for _ in range(5):
        reach = reach @ reach
    np.testing.assert_array_equal(groups[:, None] == groups[None], reach)
    assert set(groups.tolist()) == set(range(groups.max() + 1))


def faces_of(subjects: list[str], closed: list[bool], known: bool = True, seeds: list[int] | None = None) -> Faces:
    n = len(subjects)
    column = TARGETS.index("eyes_closed")
    told, weight = np.zeros((n, len(TARGETS))), np.zeros((n, len(TARGETS)))
    told[:, column], weight[:, column] = closed, 1
    hashes = np.array([dhash(texture(seed)) for seed in (seeds or list(range(n)))])
    crops = np.zeros((n, 2, 2, 3), np.uint8)
    return Faces(crops, told, weight, np.array(subjects), np.full(n, known), np.full(n, "all"), hashes)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=3, max_size=40), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_no_group_is_in_two_parts_and_no_part_is_empty(rows: list[tuple[int, bool]], seed: int) -> None:
    faces = faces_of([str(s) for s, _ in rows], [c for _, c in rows], seeds=[0] * len(rows))
    groups = np.unique(faces.sources, return_inverse=True)[1].astype(np.int64)
    if groups.max() + 1 < 3:
        with pytest.raises(ValueError, match="at least 3 are needed"):
            parts(groups, faces, seed=seed)
        return
    part = parts(groups, faces, seed=seed)
    assert all(len(set(part[groups == g].tolist())) == 1 for g in range(groups.max() + 1))
    assert set(part.tolist()) == {0, 1, 2}


def test_labels_are_spread_as_the_shares_are() -> None:
    subjects = [f"s{n // 2}" for n in range(60)]
    faces = faces_of(subjects, [n % 10 < 2 for n in range(60)], seeds=[0] * 60)
    groups = np.unique(faces.sources, return_inverse=True)[1].astype(np.int64)
    part = parts(groups, faces)
    closed = faces.told[:, TARGETS.index("eyes_closed")] > 0
    assert np.bincount(part).tolist() == pytest.approx([36, 12, 12], abs=4)
    assert min(closed[part == p].sum() for p in range(3)) >= 2


def test_unknown_subjects_are_warned_of_loudly() -> None:
    text = " ".join(grouping(faces_of(["a.png", "b.png"], [True, False], known=False)).warnings())
    assert "THE SUBJECT OF 2 OF 2 FACES IS NOT KNOWN" in text
    assert not list(grouping(faces_of(["a", "b"], [True, False])).warnings())


def test_near_duplicates_stay_together_and_are_counted() -> None:
    faces = faces_of(["a", "b", "c", "d"], [True] * 4, known=False, seeds=[1, 2, 1, 3])
    grouped = grouping(faces)
    assert (grouped.near_faces, grouped.count, grouped.near_subjects) == (2, 3, 0)
    assert grouped.groups[0] == grouped.groups[2]
    twins = grouping(faces_of(["a", "b"], [True] * 2, seeds=[1, 1]))
    assert "are they one infant?" in " ".join(twins.warnings())


def test_each_known_subject_is_left_out_once() -> None:
    grouped = grouping(faces_of(["a", "a", "b", "c"], [True, False, True, False]))
    left = [where.tolist() for _, where in left_out(grouped)]
    assert left == [[True, True, False, False], [False, False, True, False], [False, False, False, True]]
    with pytest.raises(ValueError, match="0 subjects are known"):
        list(left_out(grouping(faces_of(["a", "b", "c"], [True] * 3, known=False))))


def test_an_id_is_the_row_s_and_no_infant_s(tmp_path: Path) -> None:
    a_table(tmp_path, "id,file,label\n1,a.png,sleep\n2,b.png,awake\n")
    assert [s.subject for s in open_one(tmp_path, USUAL)] == [None, None]
    assert [s.subject for s in open_one(tmp_path, Reading(columns={"subject": "id"}))] == ["1", "2"]

"""OKS AP and AR against pycocotools, LOS and errors against figures worked out by hand, and their laws."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgemon.records import KEYPOINTS, Pose
from export.pose.baselines import CENTRE, mean_pose
from export.pose.figures import figures
from export.pose.joints import LIMBS, join
from export.pose.los import los
from export.pose.oks import AREA_SHARE, SIGMAS, Precision, average_precision, judge, oks
from export.pose.samples import PoseSample

SIZE = (320, 240)
SEEDS = st.integers(0, 2**32 - 1)


def person(rng: np.random.Generator, v: Sequence[int] = (0, 1, 2)) -> np.ndarray:
    centre, spread = rng.uniform((60, 60), (260, 180)), rng.uniform(15, 50)
    joints = np.column_stack([centre + rng.normal(0, spread, (14, 2)), rng.choice(v, 14)])
    joints[joints[:, 2] == 0] = 0
    return joints.astype(np.float32)


def pose(places: np.ndarray, score: float = 1.0) -> Pose:
    return Pose(np.column_stack([places[:, :2], np.full(14, score)]).astype(np.float32), score, None, None)


def sample(*persons: np.ndarray, boxes: np.ndarray | None = None) -> PoseSample:
    stacked = np.array(persons, np.float32).reshape(-1, 14, 3)
    return PoseSample(Path("x.jpg"), "rgb", SIZE, stacked, "0", boxes=boxes)


def case(rng: np.random.Generator) -> tuple[PoseSample, list[Pose]]:
    """Up to three persons, some wholly unlabelled; poses near them, far from them, and doubled."""
    persons = [person(rng) if rng.random() > 0.15 else np.zeros((14, 3), np.float32) for _ in range(rng.integers(0, 4))]
    boxes = [np.concatenate([low := rng.uniform(0, 100, 2), low + rng.uniform(30, 180, 2)]) for _ in persons]
    near = [p + np.append(rng.normal(0, 8, 2), 0) + rng.normal(0, 4, (14, 3)) for p in persons if rng.random() > 0.2]
    far = [person(rng, (2,)) for _ in range(rng.integers(0, 3))]
    poses = [pose(places, round(float(rng.random()), 1)) for places in near + near[:1] + far]
    return sample(*persons, boxes=np.array(boxes, np.float32).reshape(-1, 4)), poses


def by_pycocotools(cases: Sequence[tuple[PoseSample, Sequence[Pose]]]) -> Precision:
    truth: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": [{"id": 1}]}
    told = []
    for number, (one, poses) in enumerate(cases, 1):
        truth["images"].append({"id": number})
        for n, joints in enumerate(one.persons):
            box = one.box(n).astype(float)
            wide, high = box[2:] - box[:2]
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                 "keypoints": joints.astype(float).ravel().tolist(), "num_keypoints": int((joints[:, 2] > 0).sum()),
                 "bbox": [box[0], box[1], wide, high], "area": AREA_SHARE * wide * high}
            )  # fmt: skip
        for p in poses:
            keypoints = p.keypoints.astype(float).ravel().tolist()
            told.append({"image_id": number, "category_id": 1, "keypoints": keypoints, "score": p.score})
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(told), "keypoints")
        evaluation.params.kpt_oks_sigmas = SIGMAS
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"][:, :, 0, 0, 0], evaluation.eval["recall"][:, 0, 0, 0]
    return Precision(
        *(float(v) for v in (precision.mean(), precision[0].mean(), precision[5].mean())),
        *(float(v) for v in (recall.mean(), recall[0], recall[5])),
    )


@pytest.mark.parametrize("seed", range(12))
def test_ap_and_ar_equal_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [case(rng) for _ in range(int(rng.integers(3, 30)))]
    ours = average_precision([judge(*one) for one in cases])
    theirs = by_pycocotools(cases)
    assert [getattr(ours, f) for f in ours.__slots__] == pytest.approx([getattr(theirs, f) for f in theirs.__slots__])
    assert 0 < ours.ap < 1


def test_only_the_best_twenty_poses_of_a_picture_count() -> None:
    truth = person(np.random.default_rng(0), (2,))
    poses = [pose(truth + 500, 0.9)] * 20 + [pose(truth, 0.1)]
    assert average_precision([judge(sample(truth), poses)]) == Precision(0, 0, 0, 0, 0, 0)


def test_oks_of_a_joint_that_is_off_by_two_sigmas_is_known() -> None:
    truth = np.zeros((14, 3), np.float32)
    truth[4] = (100, 100, 2)
    box = np.array([[0, 0, 100, 100]], np.float32)
    off = math.sqrt(AREA_SHARE * 100 * 100) * 2 * SIGMAS[4]
    found = truth[None] + np.array([off, 0, 0])
    assert oks(found, truth[None], box).item() == pytest.approx(math.exp(-0.5))


def test_oks_by_hand() -> None:
    """A wrist that is 20 px off in a box of 100 x 100 px: exp(-20**2 / (2 * 0.53 * 10000 * (2 * 0.062)**2))."""
    truth = np.zeros((14, 3), np.float32)
    truth[[5, 6]] = (50, 50, 1)
    found = truth[None].copy()
    found[0, 5, 0] += 20
    alike = oks(found, truth[None], np.array([[0, 0, 100, 100]], np.float32)).item()
    assert alike == pytest.approx((1 + 0.08591) / 2, abs=1e-4)


def test_ap_needs_a_person() -> None:
    with pytest.raises(ValueError, match="labelled joints"):
        average_precision([judge(sample(), [pose(np.zeros((14, 2)))])])


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_truth_told_scores_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = [sample(*(person(rng, (1, 2)) for _ in range(n))) for n in (1, 2, 3)]
    told = [[pose(p) for p in one.persons] for one in samples]
    assert average_precision([judge(*pair) for pair in zip(samples, told, strict=True)]) == Precision(*[1.0] * 6)
    joined = join(samples, told)
    assert los(joined, 1).mean == 1.0
    assert np.nanmax(joined.errors(), initial=0) == 0
    assert joined.pck() == 1.0 or np.isnan(joined.pck())


@given(SEEDS, st.floats(0.3, 3), st.floats(-80, 80))
@settings(max_examples=40, deadline=None)
def test_oks_and_errors_do_not_change_when_everything_is_scaled_and_shifted(seed: int, by: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    truth = person(rng, (1, 2))
    told = truth + rng.normal(0, 5, (14, 3))
    moved = [part * np.array([by, by, 1]) + np.array([shift, shift, 0]) for part in (truth, told)]
    before, after = (judge(sample(t), [pose(f)]).oks.item() for t, f in ((truth, told), moved))
    assert after == pytest.approx(before, abs=1e-4)
    errors = [join([sample(t)], [[pose(f)]]).errors() for t, f in ((truth, told), moved)]
    assert np.allclose(*errors, atol=1e-3, equal_nan=True)


@given(SEEDS, st.floats(0, 3), st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_farther_off_never_scores_better(seed: int, one: float, other: float) -> None:
    rng = np.random.default_rng(seed)
    truth, way = person(rng, (2,)), rng.normal(0, 10, (14, 2))
    near, far = (pose(truth[:, :2] + way * by) for by in sorted((one, other)))
    alike = [judge(sample(truth), [p]).oks.item() for p in (near, far)]
    assert alike[0] >= alike[1] - 1e-6
    limbs = [los(join([sample(truth)], [[p]])).mean for p in (near, far)]
    assert limbs[0] >= limbs[1] - 1e-6


def test_los_of_a_limb_is_one_less_the_mean_error_over_the_diagonal() -> None:
    truth = person(np.random.default_rng(1), (2,))
    told = truth[:, :2].copy()
    left_arm = LIMBS["left arm"]
    assert [KEYPOINTS[n] for n in left_arm] == ["left_wrist", "left_elbow", "left_shoulder"]
    told[list(left_arm)] += np.array([[30, 0], [0, 6], [0, 0]])
    figure = los(join([sample(truth)], [[pose(told)]]))
    assert figure.limbs == pytest.approx({"left arm": 1 - 12 / 400, "right arm": 1, "left leg": 1, "right leg": 1})
    assert figure.mean == pytest.approx(1 - 3 / 400)
    assert (figure.counted, figure.missed) == (4, 0)


def test_los_leaves_out_covered_joints_and_skips_limbs_without_any() -> None:
    truth = person(np.random.default_rng(2), (2,))
    truth[list(LIMBS["right leg"]), 2] = 1
    truth[KEYPOINTS.index("left_wrist"), 2] = 1
    told = truth[:, :2].copy()
    told[KEYPOINTS.index("left_wrist")] += 100
    told[KEYPOINTS.index("right_knee")] += (40, 0)
    joined = join([sample(truth)], [[pose(told)]])
    visible, labelled = los(joined), los(joined, 1)
    assert np.isnan(visible.limbs["right leg"])
    assert (visible.mean, visible.counted) == (1.0, 3)
    assert labelled.limbs["right leg"] == pytest.approx(1 - 40 / 3 / 400)


def test_covered_joints_count_in_ap_but_not_in_that_of_visible_joints() -> None:
    truth = person(np.random.default_rng(7), (2,))
    truth[8:12, 2] = 1
    told = truth.copy()
    told[8:12, 0] += 300
    measured = figures([sample(truth)], [[pose(told)]])
    assert measured.precision.ap == pytest.approx(0.5)  # ten of fourteen joints: OKS 0.71
    assert measured.seen is not None
    assert measured.seen.ap == pytest.approx(1)
    truth[:, 2] = 1
    assert figures([sample(truth)], [[pose(told)]]).seen is None


def test_a_missed_infant_scores_nothing() -> None:
    truth = person(np.random.default_rng(3), (2,))
    joined = join([sample(truth), sample(truth)], [[pose(truth)], []])
    figure = los(joined)
    assert (figure.mean, figure.counted, figure.missed) == (0.5, 8, 4)
    assert joined.found.tolist() == [True, False]
    assert joined.pck() == 0.5


def test_of_two_infants_each_gets_the_pose_that_is_most_like_it() -> None:
    rng = np.random.default_rng(4)
    one, other = person(rng, (2,)), person(rng, (2,)) + np.array([150, 0, 0], np.float32)
    joined = join([sample(one, other)], [[pose(one, 0.9), pose(one + 1, 0.8), pose(other, 0.3)]])
    assert np.nanmax(joined.apart_px) == 0


def test_errors_are_in_lengths_of_the_trunk() -> None:
    truth = person(np.random.default_rng(5), (2,))
    truth[[0, 1, 6, 7], :2] = [(100, 50), (140, 50), (110, 130), (130, 130)]
    truth[12, :2] = (120, 20)
    joined = join([sample(truth)], [[pose(truth + np.array([8, 0, 0]))]])
    assert joined.errors() == pytest.approx(np.full((1, 14), 0.1), rel=1e-5)
    assert joined.scale_px.item() == pytest.approx(math.sqrt(40 * 110))
    assert (joined.pck(0.13), joined.pck(0.11)) == (1.0, 0.0)


def test_the_trivial_baselines_score_high_by_los_and_nothing_by_ap() -> None:
    """Why LOS is never shown alone: infants as they lie in the middle of the cot."""
    rng = np.random.default_rng(6)
    truths = [person(rng, (2,)) * np.array([0.6, 0.6, 1]) + np.array([60, 45, 0]) for _ in range(50)]
    samples = [sample(t.astype(np.float32)) for t in truths]
    centre = [CENTRE(one) for one in samples]
    assert los(join(samples, centre)).mean > 0.8
    assert average_precision([judge(*pair) for pair in zip(samples, centre, strict=True)]).ap < 0.1


def test_the_mean_pose_is_the_mean_over_labelled_joints_in_shares_of_the_picture() -> None:
    one, other = np.zeros((14, 3), np.float32), np.zeros((14, 3), np.float32)
    one[0], other[0], other[1] = (80, 60, 2), (160, 120, 1), (320, 240, 2)
    mean = mean_pose([sample(one), sample(other)], "mean")
    assert mean.shares[0].tolist() == [0.375, 0.375]
    assert mean.shares[1].tolist() == [1, 1]
    assert mean.shares[2].tolist() == [0.5, 0.5]
    wider = PoseSample(Path("y.jpg"), "rgb", (640, 480), one[None], "1")
    assert mean(wider)[0].keypoints[0].tolist() == [240, 180, 1]
    with pytest.raises(ValueError, match="labelled infants"):
        mean_pose([sample()], "mean")

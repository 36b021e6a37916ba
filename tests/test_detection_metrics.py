"""Average precision against figures worked out by hand, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.detection_metrics import average_precision, iou_table, matches, precision_recall

BOX = (10.0, 10.0, 20.0, 20.0)
NEAR = (11.0, 10.0, 21.0, 20.0)  # IoU 9/11 with BOX
FAR = (50.0, 50.0, 60.0, 60.0)
NOTHING = np.empty((0, 4))


def test_iou_is_shared_over_united_area() -> None:
    table = iou_table([BOX, FAR], [BOX, NEAR])
    assert table == pytest.approx(np.array([[1, 9 / 11], [0, 0]]))


def test_a_true_box_is_hit_once_by_the_best_score() -> None:
    scores, hits, total = matches([([BOX, NEAR, FAR], [0.5, 0.9, 0.7])], [[BOX]], 0.5)
    assert (scores.tolist(), hits.tolist(), total) == ([0.9, 0.7, 0.5], [True, False, False], 1)


def test_a_second_detection_takes_the_second_truth() -> None:
    _, hits, total = matches([([BOX, BOX], [0.9, 0.8])], [[BOX, NEAR]], 0.5)
    assert (hits.tolist(), total) == ([True, True], 2)


def test_overlap_below_the_limit_is_a_miss() -> None:
    assert matches([([NEAR], [0.9])], [[BOX]], 0.85)[1].tolist() == [False]


def test_ignored_boxes_take_detections_out_but_never_a_hit() -> None:
    scores, hits, total = matches([([BOX, FAR], [0.9, 0.8])], [[BOX]], 0.5, [[FAR, BOX]])
    assert (scores.tolist(), hits.tolist(), total) == ([0.9], [True], 1)


def test_frames_without_detections_or_without_faces_count() -> None:
    scores, hits, total = matches([(NOTHING, []), ([FAR], [0.4])], [[BOX], NOTHING], 0.5)
    assert (scores.tolist(), hits.tolist(), total) == ([0.4], [False], 1)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="1 frames of detections, 2 of truths"):
        matches([(NOTHING, [])], [[BOX], [BOX]], 0.5)
    with pytest.raises(ValueError, match="1 boxes with 2 scores"):
        matches([([BOX], [0.1, 0.2])], [[BOX]], 0.5)


def test_no_truth_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="needs true boxes"):
        average_precision([0.5], [False], 0)


def test_average_precision_by_hand() -> None:
    # precision 1, 1/2, 2/3, 2/4 at recall 1/3, 1/3, 2/3, 2/3; envelope 1 then 2/3; one truth never found
    precision, recall = precision_recall([0.9, 0.8, 0.7, 0.6], [True, False, True, False], 3)
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert recall == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert average_precision([0.9, 0.8, 0.7, 0.6], [True, False, True, False], 3) == pytest.approx(5 / 9)


def test_equal_scores_come_in_together() -> None:
    first = average_precision([0.5, 0.5], [True, False], 1)
    assert first == average_precision([0.5, 0.5], [False, True], 1) == 0.5


def test_nothing_found_is_zero() -> None:
    assert average_precision([], [], 2) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.integers(0, 5))
def test_bounds_and_order(rows: list[tuple[float, bool]], missed: int) -> None:
    scores, hits = zip(*rows, strict=True)
    total = sum(hits) + missed
    if not total:
        return
    area = average_precision(scores, hits, total)
    assert 0 <= area <= sum(hits) / total + 1e-12
    rng = np.random.default_rng(0).permutation(len(rows))
    assert average_precision(np.array(scores)[rng], np.array(hits)[rng], total) == pytest.approx(area)
    best = average_precision([*scores, 2.0], [*hits, True], total + 1)
    assert best >= area * total / (total + 1)

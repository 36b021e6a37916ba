"""Our face detector beside published ones: recall by condition on the same frames, and time as a ratio.

`python benchmarks/face.py --data RENDERS [--photographs DIR] [--weights ../shared/data/weights] [--models DIR]
[--json FILE]` with renders that training did not see. Each detector has its own threshold, set so that at most 2 % of
the same face-free frames fire; a third of those are spoiled faces, which ours has met in training and the peers have
not, so a second table sets them apart. The peers are yardsticks: nothing of ours is made from them.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `export` is not installed

from edgemon.faces.detect import Detection, FaceDetector, nms
from edgemon.inference import Image, Model, Tensor, letterbox, prepare
from export.datasets import Renders
from export.evaluate_face import FaceReport, Finder, false_scores, find
from export.face_cases import CONDITIONS, FRAME_PX, face_free, london_subjects, render_subjects
from export.metrics import threshold_at

FACE_FREE_FRAMES = 450
ROUNDS, WARM_UP, TIMED = 12, 5, 25
Array = NDArray[np.float32]


def session(path: Path) -> ort.InferenceSession:
    """The options of `edgemon.inference.Model`: one thread, asleep between runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Peer:
    """A published detector: its own input, its own decoding, our NMS."""

    def __init__(self, path: Path) -> None:
        self.session = session(path)
        self.input = self.session.get_inputs()[0].name

    def prepare(self, image: Image) -> Tensor:
        """NCHW input."""
        raise NotImplementedError

    def decode(self, outputs: Sequence[Array]) -> tuple[Array, Array, Array]:
        """Scores (n,), boxes xyxy (n, 4), landmarks (n, 5, 2)."""
        raise NotImplementedError

    def run(self, tensor: Tensor) -> list[Array]:
        """The bare network."""
        return self.session.run(None, {self.input: tensor})

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        """The faces, best first."""
        fitted, scale = letterbox(image, FRAME_PX)
        scores, boxes, points = self.decode(self.run(self.prepare(fitted)))
        chosen = np.flatnonzero(scores >= (0.5 if threshold is None else threshold))
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:100]]
        scores, boxes, points = scores[chosen], boxes[chosen] / scale, points[chosen] / scale
        kept = nms(boxes, scores, 0.4)
        return tuple(Detection(tuple(map(float, boxes[i])), points[i], float(scores[i])) for i in kept)


class YuNet(Peer):
    """YuNet (libfacedetection.train, Apache-2.0) at 320x256: BGR 0-255, the frame padded below."""

    size_px = (320, 256)
    strides = (8, 16, 32)

    def prepare(self, image: Image) -> Tensor:
        """Pad with black to a height that its pyramid divides."""
        padded = np.zeros((self.size_px[1], self.size_px[0], 3), np.float32)
        padded[: image.shape[0], : image.shape[1]] = image[..., ::-1]
        return np.ascontiguousarray(padded.transpose(2, 0, 1)[None])

    def decode(self, outputs: Sequence[Array]) -> tuple[Array, Array, Array]:
        """score = sqrt(cls * obj); offsets in strides from the cell's corner."""
        named = {node.name: value for node, value in zip(self.session.get_outputs(), outputs, strict=True)}
        scores, boxes, points = [], [], []
        for stride in self.strides:
            cls, obj, box, kps = (
                named[f"{kind}_{stride}"].reshape(-1, size)
                for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
            )
            y, x = np.divmod(np.arange(len(cls)), self.size_px[0] // stride)
            cell = np.stack([x, y], axis=1).astype(np.float32)
            centre, size = (cell + box[:, :2]) * stride, np.exp(np.clip(box[:, 2:], -10, 10)) * stride
            scores.append(np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1)))
            boxes.append(np.concatenate([centre - size / 2, centre + size / 2], axis=1))
            points.append((cell[:, None] + kps.reshape(-1, 5, 2)) * stride)
        return np.concatenate(scores), np.concatenate(boxes), np.concatenate(points)


class RetinaFaceMnet(Peer):
    """RetinaFace on MobileNetV1 0.25 (biubug6, MIT) at 320x240: BGR less its mean."""

    sides = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        width, height = FRAME_PX
        self.anchors = np.array(
            [
                ((j + 0.5) * stride, (i + 0.5) * stride, side, side)
                for stride, sides in self.sides
                for i in range(math.ceil(height / stride))
                for j in range(math.ceil(width / stride))
                for side in sides
            ],
            np.float32,
        )

    def prepare(self, image: Image) -> Tensor:
        """As its authors do."""
        bgr = image[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
        return np.ascontiguousarray(bgr.transpose(2, 0, 1)[None])

    def decode(self, outputs: Sequence[Array]) -> tuple[Array, Array, Array]:
        """SSD's variances; the outputs are known by their widths: 4 box, 2 class, 10 landmarks."""
        by_width = {output.shape[-1]: output[0] for output in outputs}
        a, box, logits = self.anchors, by_width[4], by_width[2]
        scores = logits[:, 1]
        if logits.min() < 0 or not np.allclose(logits.sum(axis=1), 1, atol=1e-3):
            scores = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        centre, half = a[:, :2] + box[:, :2] * 0.1 * a[:, 2:], a[:, 2:] * np.exp(box[:, 2:] * 0.2) / 2
        points = a[:, None, :2] + by_width[10].reshape(-1, 5, 2) * 0.1 * a[:, None, 2:]
        return scores.astype(np.float32), np.concatenate([centre - half, centre + half], axis=1), points


class Haar:
    """OpenCV's cascade, scored by how many windows agree; no landmarks, so its roll is nought."""

    def __init__(self) -> None:
        self.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        """The faces, best first."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes, _, weights = self.cascade.detectMultiScale3(grey, 1.1, 3, minSize=(44, 44), outputRejectLevels=True)
        scores = [1 / (1 + math.exp(-float(w) / 5)) for w in np.ravel(weights)]
        found = [(s, b) for s, b in zip(scores, boxes, strict=True) if s >= (threshold or 0.0)]
        upright = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]], np.float32)
        return tuple(
            Detection((float(x), float(y), float(x + w), float(y + h)), upright, s)
            for s, (x, y, w, h) in sorted(found, key=lambda item: -item[0])
        )


@dataclass(frozen=True)
class Row:
    """One detector."""

    name: str
    report: FaceReport
    network_ms: float | None


def interleaved_ms(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median time of each call; they take turns in short blocks, so that a busy machine slows them alike."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, call in runs.items():
            for turn in range(WARM_UP + TIMED):
                begun = time.perf_counter()
                call()
                if turn >= WARM_UP:
                    spent[name].append(1e3 * (time.perf_counter() - begun))
    return {name: statistics.median(values) for name, values in spent.items()}


def detectors(args: argparse.Namespace, frame: Image) -> tuple[dict[str, Finder], dict[str, Callable[[], object]]]:
    """Every detector, and a call of its bare network on one frame where it has one."""
    finders: dict[str, Finder] = {}
    calls: dict[str, Callable[[], object]] = {}
    for name in ("face", "face-int8"):
        if (args.models / f"{name}.toml").is_file():
            model = Model.open(args.models, name)
            ours = f"edgemon {model.manifest.label}"
            finders[ours] = FaceDetector(model)
            calls[ours] = partial(model, prepare(frame, model.manifest.input))
    peers = (
        ("YuNet-n", YuNet, "yunet/yunet_n_320x256.onnx"),
        ("YuNet-s", YuNet, "yunet/yunet_s_320x256.onnx"),
        ("RetinaFace-mnet0.25", RetinaFaceMnet, "retinaface/retina_mnet025_320x240.onnx"),
    )
    for name, kind, path in peers:
        peer = kind(args.weights / path)
        finders[name] = peer
        calls[name] = partial(peer.run, peer.prepare(frame))
    finders["Haar"] = Haar()
    return finders, calls


def main() -> None:
    """Print both tables; write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("../shared/data/weights"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--limit", type=int, help="judge only so many renders a condition")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    renders = Renders(args.data)
    subjects = [render_subjects(renders, args.limit)]
    if args.photographs is not None:
        subjects.append(london_subjects(args.photographs, "test"))
    without = list(face_free(renders, subjects, FACE_FREE_FRAMES))
    frame = next(subjects[0].frames(CONDITIONS["roll 0"])).rgb
    finders, calls = detectors(args, frame)
    spent = interleaved_ms(calls)
    rows = []
    for name, finder in finders.items():
        false = false_scores(finder, without)
        report = FaceReport(tuple(find(finder, s) for s in subjects), false, threshold_at(false))
        rows.append(Row(name, report, spent.get(name)))
    show(rows, spent["YuNet-n"])
    if args.json is not None:
        args.json.write_text(json.dumps(told(rows, spent["YuNet-n"]), indent=1) + "\n", encoding="utf-8")


def own_thresholds(report: FaceReport) -> dict[str, float]:
    """Those that the detector's own false frames set, by how."""
    return {how: at for how, at in report.thresholds.items() if "shipped" not in how}


def show(rows: Sequence[Row], unit_ms: float) -> None:
    """Recall in percent at each detector's own thresholds, and time against YuNet-n."""
    for how in own_thresholds(rows[0].report):
        for number, finds in enumerate(rows[0].report.finds):
            print(f"{finds.data}: recall % at {how} (of {rows[0].report.false.size})")
            print(f"  {'':<28}" + "".join(f"{c.replace('roll ', ''):>12}" for c in CONDITIONS) + f"{'threshold':>12}")
            for row in rows:
                at, mine = own_thresholds(row.report)[how], row.report.finds[number]
                cells = "".join(f"{100 * mine.recall(c, at):>12.1f}" for c in CONDITIONS)
                print(f"  {row.name:<28}{cells}{at:>12.3f}")
    print(f"bare network at 320x240, one thread, ratio to YuNet-n ({platform.machine()}, {platform.system()})")
    for row in rows:
        if row.network_ms is not None:
            print(f"  {row.name:<28}{row.network_ms / unit_ms:>8.2f}   ({row.network_ms:.2f} ms)")


def told(rows: Sequence[Row], unit_ms: float) -> dict[str, object]:
    """The same as JSON."""
    return {
        "machine": platform.platform(),
        "rows": [
            {
                "detector": row.name,
                "time_ratio_to_yunet_n": None if row.network_ms is None else row.network_ms / unit_ms,
                "recall": {
                    how: {f.data: {c: f.recall(c, at) for c in CONDITIONS} for f in row.report.finds}
                    for how, at in own_thresholds(row.report).items()
                },
            }
            for row in rows
        ],
    }


if __name__ == "__main__":
    main()

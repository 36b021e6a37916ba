"""WIDER FACE: its official lists, and the label files that RetinaFace and libfacedetection made of them.

The subject is the event (the folder of a picture), since people of one event come back in its other pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from export.datasets.files import numbers_of, root_of, text_of
from export.datasets.labelled import FaceLabel, Labelled, face_of

_BLUR = ("", "normal blur", "heavy blur")
_OCCLUSION = ("", "partial occlusion", "heavy occlusion")


def official(path: Path) -> tuple[Labelled, ...]:
    """`wider_face_{split}_bbx_gt.txt`: name, count, then `x y w h blur expression illumination invalid occlusion pose`.

    A picture without faces has the count 0 and yet one row, of noughts. Faces marked invalid are not judged; a handful
    of rows of no area are dropped and counted.

    Raises:
        ValueError: a row is malformed; names file and line.
    """
    lines = text_of(path).splitlines()
    split = path.name.split("_")[2]
    folders = [base / f"WIDER_{split}" / "images" for base in (path.parent, path.parent.parent)]
    samples, at = [], 0
    while at < len(lines):
        name = lines[at].strip()
        if not name:
            at += 1
            continue
        if not name.lower().endswith((".jpg", ".jpeg", ".png")):
            raise ValueError(f"{path}:{at + 1}: {name!r} where the name of a picture would be right")
        if at + 1 >= len(lines) or not lines[at + 1].strip().isdigit():
            raise ValueError(f"{path}:{at + 2}: the number of faces in {name} would be right here")
        count = int(lines[at + 1])
        first, at = at + 2, at + 2 + count
        if at > len(lines):
            raise ValueError(f"{path}:{len(lines)}: ends within the {count} faces of {name}; the file is cut short")
        rows = [_official_face(lines[n], f"{path}:{n + 1}") for n in range(first, at)]
        if count == 0 and at < len(lines) and not lines[at].strip("0 \t"):
            at += 1
        faces = tuple(face for face in rows if face is not None)
        samples.append(Labelled(Path(name), name.split("/")[0], faces, dropped=count - len(faces)))
    return _rooted(samples, folders)


def _official_face(line: str, where: str) -> FaceLabel | None:
    numbers = numbers_of(line.split(), where)
    if len(numbers) != 10:
        raise ValueError(f"{where}: {len(numbers)} numbers; x y w h and six flags would be right")
    x, y, w, h, blur, expression, illumination, invalid, occlusion, pose = numbers
    if (
        blur not in (0, 1, 2)
        or occlusion not in (0, 1, 2)
        or any(flag not in (0, 1) for flag in (expression, illumination, invalid, pose))
    ):
        raise ValueError(f"{where}: flags {numbers[4:]}; blur and occlusion are 0 to 2, the others 0 or 1")
    if w <= 0 or h <= 0:
        return None
    told = (_BLUR[int(blur)], _OCCLUSION[int(occlusion)], "extreme illumination" if illumination else "",
            "atypical pose" if pose else "", "exaggerated expression" if expression else "")  # fmt: skip
    face = face_of((x, y, x + w, y + h), where)
    return replace(face, judged=not invalid, flags=tuple(flag for flag in told if flag))


def labels(path: Path) -> tuple[Labelled, ...]:
    """`label.txt` or `labelv2.txt`: a row `# picture [width height]`, then a row for each face.

    libfacedetection tells the picture's size and gives `x0 y0 x1 y1`; RetinaFace tells none and gives `x y w h`. Then
    nothing, or one number (1: not judged), or five times `x y flag`, -1 where unknown, and perhaps a quality 0..1.

    Raises:
        ValueError: a row is malformed; names file and line.
    """
    heads: list[tuple[str, tuple[int, int] | None]] = []
    faces: list[list[FaceLabel | None]] = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        where = f"{path}:{number}"
        if line.startswith("#"):
            heads.append(_head(line, where))
            faces.append([])
        elif line.strip():
            if not heads:
                raise ValueError(f"{where}: a face before any picture; `# picture` would be right")
            faces[-1].append(_label_face(line, heads[-1][1], where))
    samples = [
        Labelled(Path(name), name.split("/")[0], tuple(f for f in found if f is not None), size, found.count(None))
        for (name, size), found in zip(heads, faces, strict=True)
    ]
    up = [path.parent, *list(path.parent.parents)[:2]]
    folders = [base / inner for base in up for inner in ("images", "WIDER_train/images", "WIDER_val/images", "")]
    return _rooted(samples, folders)


def _head(line: str, where: str) -> tuple[str, tuple[int, int] | None]:
    words = line[1:].split()
    if len(words) not in (1, 3):
        raise ValueError(f"{where}: {line!r}; `# picture` or `# picture width height` would be right")
    if len(words) == 1:
        return words[0], None
    width, height = numbers_of(words[1:], where)
    return words[0], (int(width), int(height))


def _label_face(line: str, size: tuple[int, int] | None, where: str) -> FaceLabel | None:
    numbers = numbers_of(line.split(), where)
    if len(numbers) not in (4, 5, 19, 20):
        raise ValueError(f"{where}: {len(numbers)} numbers; a box (4), and perhaps a flag or five landmarks (15 more)")
    x0, y0, x1, y1 = numbers[:4] if size else (*numbers[:2], numbers[0] + numbers[2], numbers[1] + numbers[3])
    if x1 == x0 or y1 == y0:
        return None
    marks = [numbers[4 + 3 * k : 6 + 3 * k] for k in range(5)] if len(numbers) >= 19 else []
    known = bool(marks) and all(mark != [-1, -1] for mark in marks)
    face = face_of([x0, y0, x1, y1, *(v for mark in marks if known for v in mark)], where, size)
    return replace(face, judged=not (len(numbers) == 5 and numbers[4] == 1))


def _rooted(samples: Sequence[Labelled], folders: Sequence[Path]) -> tuple[Labelled, ...]:
    root = root_of([str(sample.path) for sample in samples], folders)
    return tuple(replace(sample, path=root / sample.path) for sample in samples)

"""Which layout a folder has: one table of every layout that is known, the special before the general."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from export.datasets import coco, points, tables, voc, wider
from export.datasets.files import json_of, text_of
from export.datasets.labelled import FaceLabel, Labelled
from export.datasets.london import london
from export.datasets.renders import Renders


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout: how it is told to people, where its annotations lie in a folder, and their reader."""

    name: str
    sign: str
    find: Callable[[Path], Iterable[Path]]
    read: Callable[[Path], tuple[Labelled, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """Annotations that were found: a file, or a folder of files."""

    layout: Layout
    annotations: Path

    def read(self) -> tuple[Labelled, ...]:
        """Its samples.

        Raises:
            ValueError: it is malformed, or holds none; names file and line.
        """
        samples = self.layout.read(self.annotations)
        if not samples:
            raise ValueError(f"{self.annotations}: holds no picture in the layout {self.layout.name}")
        return samples


def _renders(folder: Path) -> tuple[Labelled, ...]:
    renders = Renders(folder)
    out = []
    for index, row in enumerate(renders.rows):
        mark = renders.mark(index)
        faces = () if mark is None else (FaceLabel(mark.box(), mark.landmarks, outline=mark.outline),)
        out.append(Labelled(folder / f"{row['name']}.jpg", str(row.get("identity", row["name"])), faces))
    return tuple(out)


def _london(folder: Path) -> tuple[Labelled, ...]:
    """Of the London set only the persons that are never trained on."""
    out = []
    for person in london(folder, "test"):
        mark = person.picture().face
        assert mark is not None
        out.append(Labelled(person.path, person.name, (FaceLabel(mark.box(), mark.landmarks, outline=mark.outline),)))
    return tuple(out)


def _named(*patterns: str) -> Callable[[Path], Iterable[Path]]:
    return lambda folder: (path for pattern in patterns for path in sorted(folder.glob(pattern)))


def _holding(*patterns: str) -> Callable[[Path], Iterable[Path]]:
    """The folders that hold such files; "inner/*.xml" finds the folder `inner`."""
    return lambda folder: sorted({path.parent for pattern in patterns for path in folder.glob(pattern)})


def _truths(folder: Path) -> Iterable[Path]:
    return [folder] if (folder / "truth.jsonl").is_file() else []


def _templates(folder: Path) -> Iterable[Path]:
    return [folder] if any((folder / "tem").glob("*.tem")) else []


def _label_files(folder: Path) -> Iterable[Path]:
    return (p for p in _named("label.txt", "labelv2.txt", "*/label.txt", "*/labelv2.txt")(folder) if "#" in _start(p))


def _jsons(also: Callable[[coco.Row], bool]) -> Callable[[Path], Iterable[Path]]:
    def find(folder: Path) -> Iterable[Path]:
        for path in _named("*.json", "annotations/*.json")(folder):
            if '"images"' in text_of(path):
                data = json_of(path)
                if coco.is_coco(data) and also(data):
                    yield path

    return find


def _tables(columns: tuple[str, ...]) -> Callable[[Path], Iterable[Path]]:
    return lambda folder: (p for p in _named("*.csv")(folder) if tables.header(p)[: len(columns)] == columns)


def _xmls(tag: str, *patterns: str) -> Callable[[Path], Iterable[Path]]:
    return lambda folder: (path for path in _named(*patterns)(folder) if f"<{tag}>" in _start(path))


def _vocs(folder: Path) -> Iterable[Path]:
    return sorted({path.parent for path in _xmls("annotation", "*.xml", "[Aa]nnotations/*.xml")(folder)})


def _start(path: Path) -> str:
    return text_of(path)[:1000]


LAYOUTS = (
    Layout("renders", "truth.jsonl", _truths, _renders),
    Layout("London (test persons)", "tem/*.tem", _templates, _london),
    Layout("WIDER FACE", "wider_face_*_bbx_gt.txt", _named("wider_face_*_bbx_gt.txt", "*/wider_face_*_bbx_gt.txt"),
           wider.official),
    Layout("WIDER labels", "label.txt or labelv2.txt of `# picture` rows", _label_files, wider.labels),
    Layout("NFD, COCO", "nfd_annotations.json", _named("nfd_annotations.json"), coco.newborns),
    Layout("NFD, VOC", "nfd_annotations/*.xml", _holding("nfd_annotations/*.xml"), voc.newborns),
    Layout("NBHR", "COCO *.json of names YYYYMMDDhhmmss_N", _jsons(coco.is_nbhr), coco.nbhr),
    Layout("COCO", "*.json with images and annotations", _jsons(lambda data: True), coco.coco),
    Layout("COPE", "*.csv of " + ",".join(tables.COPE), _tables(tables.COPE), tables.cope),
    Layout("csv", "*.csv of " + ",".join(tables.PLAIN) + "[,ten landmark numbers]", _tables(tables.PLAIN),
           tables.plain),
    Layout("imglab", "*.xml of <dataset>", _xmls("dataset", "*.xml"), points.imglab),
    Layout("VOC", "*.xml of <annotation>", _vocs, voc.voc),
    Layout("pts", "*.pts of 68 points", _holding("*.pts"), points.pts),
)  # fmt: skip


def sources(path: Path) -> tuple[Source, ...]:
    """Every set of annotations in a folder, or the one that `path` names itself.

    Raises:
        ValueError: there is no such folder, or nothing in it that is known.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such folder; a folder of annotated pictures is expected")
    found = recognised(path)
    if not found:
        known = "; ".join(f"{layout.name}: {layout.sign}" for layout in LAYOUTS)
        raise ValueError(f"{path}: holds {_contents(path)}; none of the layouts that are known ({known})")
    return found


def recognised(path: Path) -> tuple[Source, ...]:
    """As `sources`; none where nothing is known."""
    found: dict[Path, Source] = {}
    for layout in LAYOUTS:
        for place in layout.find(path if path.is_dir() else path.parent):
            if path.is_dir() or place == path:
                found.setdefault(place, Source(layout, place))
    return tuple(found.values())


def open_folder(path: Path) -> tuple[Labelled, ...]:
    """The samples of a folder, or of one annotation file in it, whatever its layout.

    Raises:
        ValueError: the layout is not known, there is more than one set of annotations, or they are malformed.
    """
    found = sources(path)
    if len(found) > 1:
        names = ", ".join(f"{source.annotations} ({source.layout.name})" for source in found)
        raise ValueError(f"{path}: holds several sets of annotations: {names}; name one of them")
    return found[0].read()


def open_all(path: Path) -> tuple[Labelled, ...]:
    """The samples of every set of annotations in a folder; of a picture in several the one that knows most landmarks.

    Raises:
        ValueError: the layout is not known, or a set is malformed.
    """
    best: dict[Path, Labelled] = {}
    for source in sources(path):
        for sample in source.read():
            kept = best.setdefault(sample.path.resolve(), sample)
            if _known(sample) > _known(kept):
                best[sample.path.resolve()] = sample
    return tuple(best.values())


def _known(sample: Labelled) -> tuple[int, int]:
    return sum(face.landmarks is not None for face in sample.faces), len(sample.faces)


def _contents(path: Path) -> str:
    if path.is_file():
        return f"{path.suffix or 'no'} data"
    names = [item for item in path.iterdir() if not item.name.startswith(".")]
    kinds = sorted({item.suffix.lower() or "files without an ending" for item in names if item.is_file()})
    folders = sorted(item.name for item in names if item.is_dir())[:8]
    return ", ".join([*kinds, *(f"{name}/" for name in folders)]) or "nothing"

"""The index of a folder of features: which photos are learned from, and how often their parts are read."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from model import durable
from model.errors import DatasetError
from model.intensity import FULL
from model.scale.chunks import Photo, Plan
from model.scale.files import File
from model.scale.folders import LocalFolder
from model.scale.parts import Parts, Row, part_content, part_name
from model.training.part_rows import TrainingParts, index_rows

PLAN = Plan(
    source="/nowhere",
    photos=8,
    chunks=2,
    chunk_photos=4,
    chunk_bytes=1,
    classes=("a", "b"),
    listing_sha256="",
    splits={},
    network="EfficientNetLite0",
    manifest_sha256="",
    graph_sha256="",
    features=3,
    image_size=224,
    resize="squash",
    intensity=FULL,
    versions={},
)
SPLIT_OF_ROW = ("train", "val", "test", "train")


def _sha256(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _write(folder: Path, error: str | None = None, without_features: frozenset[int] = frozenset()) -> Parts:
    """Two parts of four photos; each feature of a photo is its number."""
    for part in range(PLAN.chunks):
        rows = []
        for at, split in enumerate(SPLIT_OF_ROW):
            number = 4 * part + at
            photo = Photo(File(f"{number}.jpg".encode(), 1, ""), PLAN.classes[number % 2], split)
            features = None if error or number in without_features else np.full(3, number, np.float32)
            rows.append(Row(photo, features, 1, 1, _sha256(photo.name), error))
        durable.write_bytes(folder / part_name(part), part_content(rows, part, PLAN.sha256))
    return Parts(LocalFolder(str(folder)), PLAN)


@pytest.fixture
def reads(monkeypatch) -> Counter[int]:
    """How often each part has been read."""
    found: Counter[int] = Counter()
    read = Parts.read

    def counted(parts: Parts, number: int, *columns: object) -> object:
        found[number] += 1
        return read(parts, number, *columns)

    monkeypatch.setattr(Parts, "read", counted)
    return found


def test_photos_are_read_by_split_in_their_order(tmp_path):
    rows = index_rows(_write(tmp_path))
    found = rows.read(rows.drawn({}))
    assert found.names == tuple(f"{number}.jpg" for number in (0, 3, 4, 7, 1, 5, 2, 6))
    assert found.content_hashes == tuple(map(_sha256, found.names))
    assert found.features[:, 0].tolist() == [0, 3, 4, 7, 1, 5, 2, 6]
    assert found.labels.tolist() == [0, 1, 0, 1, 1, 1, 0, 0] and found.splits.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert rows.counts == {"train": {"a": 2, "b": 2}, "val": {"a": 0, "b": 2}, "test": {"a": 2, "b": 0}}
    assert [rows.size(), rows.size("train"), rows.size("val", "test")] == [8, 4, 4]


def test_the_lists_of_all_splits_are_written_in_one_pass_over_the_parts(tmp_path, reads):
    (tmp_path / "parts").mkdir()
    rows = index_rows(_write(tmp_path / "parts"))
    reads.clear()
    rows.write_lists(tmp_path)
    assert reads == {0: 1, 1: 1}
    assert (tmp_path / "train.txt").read_text() == "0.jpg 0\n3.jpg 1\n4.jpg 0\n7.jpg 1\n"
    assert (tmp_path / "val.txt").read_text() == "1.jpg 1\n5.jpg 1\n"
    assert (tmp_path / "test.txt").read_text() == "2.jpg 0\n6.jpg 0\n"
    assert (tmp_path / "val.sha256").read_text() == "".join(f"{_sha256(name)}  {name}\n" for name in ("1.jpg", "5.jpg"))
    assert len((tmp_path / "train.sha256").read_text().splitlines()) == 4
    assert not (tmp_path / "test.sha256").exists()


def test_an_index_without_any_usable_photo_reads_none(tmp_path):
    rows = index_rows(_write(tmp_path, error="it is damaged"))
    assert len(rows.rejected) == 8 and rows.size() == 0
    found = rows.read(rows.drawn({"train": 1}))
    assert not found.names and found.features.shape == (0, 3) and not len(found.labels) and not len(found.splits)


def test_a_photo_without_features_and_error_is_named_with_its_part_and_what_to_do(tmp_path):
    rows = index_rows(_write(tmp_path, without_features=frozenset({7})))
    parts = TrainingParts(rows)
    assert parts.sizes.tolist() == [2, 2] and parts.read(0)[0][:, 0].tolist() == [0, 3]
    with pytest.raises(DatasetError, match=r"part-00001\.parquet: expected .*row 3\. Remove it, and run topgraft"):
        parts.read(1)

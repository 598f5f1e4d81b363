"""A run from photos to parts: its rows, resuming, and the refusal of another plan or source."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from model.dataset.images import decode_image
from model.dataset.lists import write_lists
from model.errors import ConfigError, DatasetError, StorageFullError
from model.features.extractor import FeatureExtractor, extract_features
from model.results import SPLITS, InputSpec, Sample, no_progress
from model.scale.chunks import read_plan
from model.scale.featurize import FeaturizeResult
from model.scale.folders import open_folder
from model.scale.network import Network
from model.scale.parts import Done, features_matrix, open_parts
from model.scale.source import SplitOptions
from model.scale.work import Job
from tests.scale.conftest import SPEC, in_this_process
from tests.support.colour_network import colour_graph
from tests.support.slow_photos import png

Run = Callable[..., FeaturizeResult]


def rows_of(out: Path) -> list[dict]:
    """All rows of the parts in a folder, in order."""
    return [row for part in sorted(out.glob("part-*.parquet")) for row in pyarrow.parquet.read_table(part).to_pylist()]


def bytes_of(out: Path) -> dict[str, bytes]:
    """Contents of all files in a folder of features."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_each_photo_has_a_row_with_its_features(run: Run, photos: Path, tmp_path: Path) -> None:
    result = run()
    rows = rows_of(tmp_path / "out")
    assert (result.photos, result.errors, result.parts, result.written) == (16, 0, 4, 4)
    assert [row["path"] for row in rows] == sorted(f"{label}/{n}.jpg" for label in ("blue", "red") for n in range(8))
    for row in rows:
        content = (photos / row["path"]).read_bytes()
        assert row["label"] == row["path"].partition("/")[0] and row["split"] in SPLITS
        assert (row["width"], row["height"], row["error"]) == (64, 48, None)
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        np.testing.assert_allclose(row["features"], decode_image(content, SPEC).mean(axis=(0, 1)), rtol=1e-5)


def test_the_features_are_those_of_a_training(run: Run, network: Network, photos: Path, tmp_path: Path) -> None:
    run()
    rows = rows_of(tmp_path / "out")
    samples = [Sample(photos / row["path"], row["path"], 0) for row in rows]
    expected = extract_features(FeatureExtractor(network.graph, SPEC), samples, SPEC, no_progress)
    assert np.array_equal(np.array([row["features"] for row in rows], np.float32), expected)


def test_the_parts_are_read_with_their_plan(run: Run, tmp_path: Path) -> None:
    run()
    parts = open_parts(str(tmp_path / "out"))
    plan = parts.plan
    assert (len(parts), plan.photos, plan.classes, plan.features) == (4, 16, ("blue", "red"), 3)
    assert plan.input_spec == SPEC and plan.network == "colour"
    matrix, whole = features_matrix(parts.read(3))
    assert matrix.shape == (1, 3) and matrix.dtype == np.float32 and whole.tolist() == [0]
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text())["photos"] == 16


def test_the_same_command_writes_nothing_more(run: Run, tmp_path: Path) -> None:
    run()
    before = bytes_of(tmp_path / "out")
    assert run().written == 0
    assert bytes_of(tmp_path / "out") == before


def test_an_interrupted_run_is_resumed_with_the_same_bytes(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(out=tmp_path / "whole")

    def interrupted(job: Job, numbers: Sequence[int]) -> Iterator[Done]:
        yield from in_this_process(job, numbers[:2])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(engine=interrupted)
    assert "2 of 4 parts are complete" in caplog.text and "Run the same command to resume" in caplog.text
    with pytest.raises(DatasetError, match="expected all parts, found an interrupted run"):
        open_parts(str(tmp_path / "out"))
    assert run().written == 2
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("content", [b"", b"PAR1", None], ids=["empty", "no part", "cut short"])
def test_a_damaged_part_is_written_again(run: Run, tmp_path: Path, content: bytes | None) -> None:
    run()
    before = bytes_of(tmp_path / "out")
    part = tmp_path / "out" / "part-00002.parquet"
    part.write_bytes(part.read_bytes()[:-9] if content is None else content)
    assert run().written == 1
    assert bytes_of(tmp_path / "out") == before


def test_a_part_with_a_changed_byte_is_refused_where_it_is_read(run: Run, tmp_path: Path) -> None:
    run()
    part = tmp_path / "out" / "part-00000.parquet"
    column = pyarrow.parquet.ParquetFile(part).metadata.row_group(0).column(3)
    assert column.path_in_schema.startswith("features")
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    part.write_bytes(content)
    with pytest.raises(DatasetError, match="part-00000"):
        open_parts(str(tmp_path / "out")).read(0)


def test_photos_that_cannot_be_read_are_rows_with_an_error(run: Run, photos: Path, tmp_path: Path) -> None:
    whole = (photos / "red" / "0.jpg").read_bytes()
    (photos / "red" / "empty.jpg").write_bytes(b"")
    (photos / "red" / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (photos / "red" / "text.png").write_text("no photo")
    (photos / "red" / "bomb.png").write_bytes(png(60_000, 60_000, rows=bytes(1000)))
    with open(photos / "red" / "large.jpg", "wb") as stream:
        stream.truncate(600 << 20)
    result = run()
    errors = {row["path"]: row["error"] for row in rows_of(tmp_path / "out") if row["error"]}
    assert result.errors == len(errors) == 5 and result.photos == 21
    expected = {
        "empty": "empty file",
        "cut": "damaged",
        "text": "text",
        "bomb": "60,000 x 60,000",
        "large": "at most 536,870,912",
    }
    for path, error in errors.items():
        assert expected[path.partition("/")[2].partition(".")[0]] in error
    assert all(row["features"] is None for row in rows_of(tmp_path / "out") if row["error"])


def test_a_photo_that_changes_after_the_listing_is_a_row_with_an_error(run: Run, photos: Path, tmp_path: Path) -> None:
    def after_changes(job: Job, numbers: Sequence[int]) -> Iterator[Done]:
        (photos / "blue" / "0.jpg").unlink()
        (photos / "blue" / "1.jpg").write_bytes((photos / "blue" / "2.jpg").read_bytes())
        os.utime(photos / "blue" / "2.jpg", (1, 1))
        yield from in_this_process(job, numbers)

    assert run(engine=after_changes).errors == 3
    errors = [row["error"] for row in rows_of(tmp_path / "out")[:3]]
    assert "removed after the photos were listed" in errors[0]
    assert "it has changed since" in errors[1] and "it has changed since" in errors[2]


def test_unusual_names_are_rows(run: Run, photos: Path, tmp_path: Path) -> None:
    content = (photos / "red" / "0.jpg").read_bytes()
    names = ["line\nend.jpg", "quo\"te's.jpg", "ü ☃.jpg", "x" * 251 + ".jpg", " blank .jpg", "a,b;c.jpg"]
    for name in names:
        (photos / "red" / name).write_bytes(content)
    deep = photos / "red" / ("d" * 250) / ("e" * 250) / ("f" * 250) / ("g" * 250)
    deep.mkdir(parents=True)
    (deep / "deep.jpg").write_bytes(content)
    with open(os.fsencode(photos) + b"/red/\xff\xfe.jpg", "wb") as stream:
        stream.write(content)
    run()
    rows = {row["path"]: row for row in rows_of(tmp_path / "out")}
    assert len(rows) == 16 + len(names) + 2
    for name in names:
        assert rows[f"red/{name}"]["features"] and rows[f"red/{name}"]["label"] == "red"
    assert any(len(path) > 1000 and row["features"] for path, row in rows.items())
    assert "not UTF-8" in rows["red/\\xff\\xfe.jpg"]["error"]


def add_photo(photos: Path) -> None:
    (photos / "red" / "new.jpg").write_bytes((photos / "red" / "0.jpg").read_bytes())


def remove_photo(photos: Path) -> None:
    (photos / "blue" / "3.jpg").unlink()


def change_photo(photos: Path) -> None:
    (photos / "blue" / "3.jpg").write_bytes(b"another")


def move_photo(photos: Path) -> None:
    (photos / "blue" / "3.jpg").rename(photos / "red" / "moved.jpg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_photo, "the photo 'red/new.jpg' was added"),
        (remove_photo, "the photo 'blue/3.jpg' was removed"),
        (change_photo, "the photo 'blue/3.jpg' has changed"),
        (move_photo, "the photo 'blue/3.jpg' was removed"),
    ],
)
def test_a_source_that_has_changed_is_refused(
    run: Run, photos: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    run()
    before = bytes_of(tmp_path / "out")
    change(photos)
    with pytest.raises(ConfigError, match=message):
        run()
    assert bytes_of(tmp_path / "out") == before
    assert run(overwrite=True).photos == len(list(photos.rglob("*.jpg")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_photos": 4}, "chunks was 4 and is 4|chunk_photos was 5 and is 4"),
        ({"splits": SplitOptions(0.2, 0.2, 2)}, "and the split|splits.seed was 1 and is 2"),
        (
            {"network": Network("pad", colour_graph(SPEC), InputSpec.square(32, "pad"))},
            "network was 'colour' and is 'pad'",
        ),
        (
            {"network": Network("colour", colour_graph(InputSpec.square(16)), InputSpec.square(16))},
            "graph_sha256 was",
        ),
    ],
)
def test_another_plan_is_refused(run: Run, tmp_path: Path, options: dict, message: str) -> None:
    run()
    with pytest.raises(ConfigError, match=message):
        run(**options)
    assert run(**options, overwrite=True).written == 4
    assert len(rows_of(tmp_path / "out")) == 16


def test_overwriting_removes_the_parts_of_a_larger_run(run: Run, tmp_path: Path) -> None:
    run(max_photos=2)
    assert run(overwrite=True).parts == len(list((tmp_path / "out").glob("part-*"))) == 4


def test_overwriting_keeps_files_that_no_run_wrote(run: Run, tmp_path: Path) -> None:
    run(max_photos=2)
    notes = tmp_path / "out" / "notes.md"
    notes.write_text("mine")
    (tmp_path / "out" / "figures").mkdir()
    assert run(overwrite=True).written == 4
    assert notes.read_text() == "mine" and (tmp_path / "out" / "figures").is_dir()


def test_a_part_of_another_plan_is_refused(run: Run, tmp_path: Path) -> None:
    run()
    run(out=tmp_path / "other", max_photos=4)
    name = "part-00001.parquet"
    (tmp_path / "out" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(ConfigError, match=f"{name}: expected a part of this run"):
        run()
    (tmp_path / "out" / name).rename(tmp_path / "out" / "part-00009.parquet")
    with pytest.raises(ConfigError, match=r"part-00009.parquet: expected 4 parts"):
        run()


def test_a_damaged_plan_is_refused(run: Run, tmp_path: Path) -> None:
    run()
    for content in ("{", "[]", "{}", '{"format": 1}'):
        (tmp_path / "out" / "plan.json").write_text(content)
        with pytest.raises(DatasetError, match="expected the plan of topgraft featurize"):
            run()
    assert run(overwrite=True).written == 4


def test_a_plan_of_a_newer_format_is_refused(run: Run, tmp_path: Path) -> None:
    run()
    plan = tmp_path / "out" / "plan.json"
    plan.write_text(plan.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(DatasetError, match="expected format 1, found 2"):
        read_plan(open_folder(str(tmp_path / "out")))


def test_a_folder_with_other_files_is_not_written_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"found 'thesis.txt'"):
            run(overwrite=overwrite)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    (tmp_path / "out" / "thesis.txt").unlink()
    (tmp_path / "out" / "pca").mkdir()
    with pytest.raises(ConfigError, match="found 'pca'"):
        run(overwrite=True)
    with pytest.raises(ConfigError, match="expected a folder, found a file"):
        run(out=tmp_path / "photos" / "red" / "0.jpg", source=tmp_path / "photos" / "blue")


def test_files_that_killed_processes_left_are_removed(run: Run, tmp_path: Path) -> None:
    run()
    left = tmp_path / "out" / f".part-00001.parquet.{'0' * 32}"
    left.write_bytes(b"cut")
    os.utime(left, (1, 1))
    run()
    assert not left.exists()


def test_a_folder_of_features_inside_the_source_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    for out in (photos, photos / "out", tmp_path / "link" / "out"):
        with pytest.raises(ConfigError, match="expected OUT to be outside of SOURCE"):
            run(out=out)


def test_a_folder_of_features_inside_a_dataset_with_lists_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    photos.rename(dataset / "images")
    lists = {"train": [("red/0.jpg", 0), ("blue/0.jpg", 1)]}
    write_lists(dataset / "dataset_files", ["red", "blue"], lists)
    for out in (dataset / "out", dataset / "images" / "out"):
        with pytest.raises(ConfigError, match="expected OUT to be outside of SOURCE"):
            run(source=dataset, out=out)


def test_a_source_without_photos_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="expected photos, found none"):
        run(source=tmp_path / "empty")
    with pytest.raises(DatasetError, match=r"expected a folder of photos, or a .txt file"):
        run(source=tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"expected a path or an address that begins with file://, s3://"):
        run(source="ftp://server/photos")
    assert not (tmp_path / "out").exists()


def test_too_little_free_space_is_refused_before_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(StorageFullError, match="MB of free space for the parts"):
        run()

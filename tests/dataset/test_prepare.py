"""Dataset checks: images that are rejected, refused datasets, warnings, and groups."""

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model import durable
from model.dataset.inspection import inspect_images
from model.dataset.prepare import Leakage, Rejected, Verdict, write_dataset_files
from model.errors import DatasetError
from model.results import SPLITS, Sample, no_progress
from tests.support.files import tarred, zipped
from tests.support.photos import encoded, random_image
from tests.support.slow_photos import scan_bomb

Prepare = Callable[..., Verdict]


def refusal(prepare: Prepare, source: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        prepare(source, **options)
    return caught.value.message


def split_of(verdict: Verdict) -> dict[str, str]:
    return {sample.name: split for split in SPLITS for sample in verdict.dataset.split(split)}


def test_lists_keep_their_splits(listed: Path, prepare: Prepare) -> None:
    verdict = prepare(listed)
    assert verdict.counts == {"train": {"cat": 4, "dog": 4}, "val": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}
    assert (verdict.rejected, verdict.leakage, verdict.ignored, verdict.has_splits) == ((), (), (), True)
    assert set(verdict.content_hashes) == {sample.name for sample in verdict.dataset.samples}
    assert all(sample.path == verdict.dataset.root / sample.name for sample in verdict.dataset.samples)


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_missing_validation_list_is_split_from_train(listed: Path, prepare: Prepare, how: str) -> None:
    val = listed / "dataset_files" / "val.txt"
    if how == "missing":
        val.unlink()
    else:
        val.write_text("")
    verdict = prepare(listed)
    assert verdict.counts == {"train": {"cat": 3, "dog": 3}, "val": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}
    assert "validation images taken from train" in verdict.layout


def test_test_list_is_optional(listed: Path, prepare: Prepare) -> None:
    (listed / "dataset_files" / "test.txt").unlink()
    assert prepare(listed).dataset.test == ()


def test_class_folders_are_divided_the_same_for_the_same_seed(class_folders: Path, prepare: Prepare) -> None:
    verdict = prepare(class_folders)
    assert not verdict.has_splits
    assert verdict.counts["train"] == {"cat": 6, "dog": 6, "owl": 6}
    assert verdict.counts["val"] == verdict.counts["test"] == {"cat": 2, "dog": 2, "owl": 2}
    again, other = prepare(class_folders), prepare(class_folders, seed=7)
    assert again == verdict
    assert split_of(other) != split_of(verdict)
    assert other.fingerprint == verdict.fingerprint


def test_the_fingerprint_depends_on_names_labels_and_contents(class_folders: Path, prepare: Prepare) -> None:
    fingerprints = {prepare(class_folders).fingerprint}
    (class_folders / "cat" / "0.jpg").write_bytes(encoded(random_image(999)))
    fingerprints.add(prepare(class_folders).fingerprint)
    (class_folders / "cat" / "0.jpg").rename(class_folders / "cat" / "00.jpg")
    fingerprints.add(prepare(class_folders).fingerprint)
    (class_folders / "cat").rename(class_folders / "bat")
    fingerprints.add(prepare(class_folders).fingerprint)
    assert len(fingerprints) == 4


def test_bad_images_are_left_out_and_listed(class_folders: Path, prepare: Prepare, tmp_path: Path) -> None:
    whole = (class_folders / "cat" / "0.jpg").read_bytes()
    (class_folders / "cat" / "0.jpg").write_bytes(whole[: len(whole) // 2])
    (class_folders / "dog" / "notes.jpg").write_text("not an image")
    (class_folders / "README.txt").write_text("about")
    verdict = prepare(class_folders)
    assert [item.name for item in verdict.rejected] == ["cat/0.jpg", "dog/notes.jpg"]
    assert "damaged" in verdict.rejected[0].reason
    assert "text beginning with 'not an image'" in verdict.rejected[1].reason
    assert verdict.ignored == ("README.txt",)
    assert len(verdict.dataset.samples) == 29
    text = "\n".join(verdict.lines())
    for part in (
        "29 in 3 classes",
        "Left out: 2 images",
        "notes.jpg: expected an image",
        "README.txt",
        "Ready to train",
    ):
        assert part in text


def test_too_many_bad_images_are_refused_with_examples(class_folders: Path, prepare: Prepare) -> None:
    for number in range(4):
        (class_folders / "cat" / f"{number}.jpg").write_bytes(b"")
    message = refusal(prepare, class_folders)
    assert "4 of 30 images cannot be decoded, 13.3%, expected at most max_bad_fraction = 10.0%" in message
    assert "cat/0.jpg: expected an image" in message
    assert len(prepare(class_folders, max_bad_fraction=0.2).rejected) == 4


def test_a_class_of_only_corrupt_images_is_refused(class_folders: Path, prepare: Prepare) -> None:
    for path in (class_folders / "owl").iterdir():
        path.write_bytes(b"x")
    message = refusal(prepare, class_folders)
    assert "2 problems" in message
    assert "all 10 images of the class 'owl' cannot be decoded, such as owl/0.jpg" in message
    assert "all 10 images" in refusal(prepare, class_folders, max_bad_fraction=1.0)


def test_a_photo_that_is_slow_to_decode_is_left_out_and_listed(
    class_folders: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.5")
    (class_folders / "cat" / "bomb.jpg").write_bytes(scan_bomb(90, 3500))
    verdict = prepare(class_folders)
    [rejected] = verdict.rejected
    assert rejected.name == "cat/bomb.jpg" and "decoding took longer" in rejected.reason
    assert len(verdict.dataset.samples) == 30


def test_unlistable_names_are_rejected(class_folders: Path, prepare: Prepare) -> None:
    (class_folders / "cat" / "a\nb.jpg").write_bytes(encoded(random_image(50)))
    assert prepare(class_folders).rejected[0].name == "cat/a\\nb.jpg"


def test_leakage_between_given_splits_is_reported(listed: Path, prepare: Prepare) -> None:
    images = listed / "images"
    shutil.copy(images / "photo 0.jpg", images / "photo 8.jpg")
    (images / "photo 10.jpg").write_bytes(encoded(random_image(2), quality=40))
    verdict = prepare(listed)
    assert verdict.leakage == (
        Leakage("identical", (("train", "photo 0.jpg"), ("val", "photo 8.jpg"))),
        Leakage("near", (("test", "photo 10.jpg"), ("train", "photo 2.jpg"))),
    )
    assert split_of(verdict)["photo 8.jpg"] == "val"
    assert any("Leakage: 2 groups of related images" in line for line in verdict.lines())


def test_groups_across_given_splits_are_reported(listed: Path, prepare: Prepare) -> None:
    verdict = prepare(listed, group_pattern=r"photo (\d)\d?\.jpg")
    names = {name for leak in verdict.leakage for _, name in leak.images}
    assert [leak.kind for leak in verdict.leakage] == ["group"]
    assert names == {"photo 1.jpg", "photo 10.jpg", "photo 11.jpg"}


def test_duplicates_are_assigned_to_one_split(class_folders: Path, prepare: Prepare) -> None:
    for number in range(10):
        (class_folders / "cat" / f"{number} copy.jpg").write_bytes(encoded(random_image(number), quality=50))
    verdict = prepare(class_folders)
    splits = split_of(verdict)
    assert all(splits[f"cat/{number}.jpg"] == splits[f"cat/{number} copy.jpg"] for number in range(10))
    assert verdict.leakage == ()
    assert any("20 images are duplicates" in warning for warning in verdict.warnings)
    assert verdict.counts["val"]["cat"] >= 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_never_straddle_splits(class_folders: Path, prepare: Prepare, seed: int) -> None:
    splits = split_of(prepare(class_folders, group_pattern=r"/(\d)\.jpg", seed=seed))
    for number in range(10):
        assert len({splits[f"{name}/{number}.jpg"] for name in ("cat", "dog", "owl")}) == 1


def test_a_group_pattern_without_effect_is_a_warning(class_folders: Path, prepare: Prepare) -> None:
    assert any(
        "does not group any two images" in warning
        for warning in prepare(class_folders, group_pattern="(nothing)").warnings
    )


def test_the_same_image_in_two_classes_is_a_warning(class_folders: Path, prepare: Prepare) -> None:
    shutil.copy(class_folders / "cat" / "0.jpg", class_folders / "dog" / "x.jpg")
    assert any("cat/0.jpg (cat), dog/x.jpg (dog)" in warning for warning in prepare(class_folders).warnings)


def test_warnings_about_classes_and_sizes(class_folders: Path, prepare: Prepare) -> None:
    for number in range(1, 10):
        (class_folders / "owl" / f"{number}.jpg").unlink()
    (class_folders / "dog" / "tiny.png").write_bytes(encoded(random_image(60, (10, 12)), "PNG"))
    (class_folders / "dog" / "long.png").write_bytes(encoded(random_image(61, (40, 900)), "PNG"))
    text = "\n".join(prepare(class_folders).warnings)
    for part in (
        "owl (1)",
        "class owl has no image for validation",
        "dog/tiny.png (12 x 10)",
        "dog/long.png (900 x 40)",
    ):
        assert part in text


def test_a_class_without_training_images_is_reported(listed: Path, prepare: Prepare) -> None:
    (listed / "dataset_files" / "classes.txt").write_text("cat\ndog\nowl\n")
    assert any("the class owl has no image for training" in warning for warning in prepare(listed).warnings)


def test_class_imbalance_is_a_warning(class_folders: Path, prepare: Prepare) -> None:
    for number in range(100):
        (class_folders / "cat" / f"more {number}.jpg").write_bytes(encoded(random_image(1000 + number)))
    assert any("imbalance = class_weights" in warning for warning in prepare(class_folders).warnings)


def test_too_few_validation_images_are_reported(tmp_path: Path, prepare: Prepare) -> None:
    for name in ("a", "b"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "1.jpg").write_bytes(encoded(random_image(ord(name))))
    assert "one is needed for validation" in refusal(prepare, tmp_path / "d")


def test_training_images_of_one_class_are_refused(listed: Path, prepare: Prepare) -> None:
    (listed / "dataset_files" / "train.txt").write_text("photo 0.jpg 0\n")
    assert "training in two classes or more, found them in 1" in refusal(prepare, listed)


def test_files_written_are_a_dataset_again(class_folders: Path, prepare: Prepare, tmp_path: Path) -> None:
    (class_folders / "cat" / "bad, very.jpg").write_bytes(b"")
    verdict = prepare(class_folders)
    write_dataset_files(verdict, tmp_path / "copy" / "dataset_files")
    with open(tmp_path / "copy" / "dataset_files" / "rejected.csv", newline="") as stream:
        assert [row["name"] for row in csv.DictReader(stream)] == ["cat/bad, very.jpg"]
    again = prepare(tmp_path / "copy", images_directory=str(class_folders))
    assert again.dataset == verdict.dataset
    assert again.fingerprint == verdict.fingerprint


def test_checksums_of_the_photos_that_a_training_learns_from_are_written(
    class_folders: Path, prepare: Prepare, tmp_path: Path
) -> None:
    verdict = prepare(class_folders)
    write_dataset_files(verdict, tmp_path)
    for split in ("train", "val"):
        ran = subprocess.run(["sha256sum", "--check", tmp_path / f"{split}.sha256"], cwd=class_folders, check=False)
        assert ran.returncode == 0
        lines = (tmp_path / f"{split}.sha256").read_text().splitlines()
        assert [line[66:] for line in lines] == [sample.name for sample in verdict.dataset.split(split)]
    assert not (tmp_path / "test.sha256").exists()


def test_verdict_is_json_and_survives_pickling(listed: Path, prepare: Prepare) -> None:
    verdict = prepare(listed)
    answer = verdict.to_json()
    assert json.loads(json.dumps(answer)) == durable.to_json(answer)
    assert answer["counts"]["train"] == {"cat": 4, "dog": 4}
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    assert Rejected("a", "b") in pickle.loads(pickle.dumps((Rejected("a", "b"),)))


def test_progress_ends_with_the_last_image(class_folders: Path, tmp_path: Path) -> None:
    from model.config import TrainConfig
    from model.dataset.prepare import prepare_dataset

    steps: list[tuple[str, int, int]] = []
    prepare_dataset(class_folders, TrainConfig(), tmp_path / "work", lambda *step, **_: steps.append(step))
    assert steps[-1] == ("check", 30, 30)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_an_unreadable_folder_is_refused(
    class_folders: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scan)
    assert "expected readable folders, received: Permission denied" in refusal(prepare, class_folders)


def test_memory_does_not_grow_with_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(random_image(1, (500, 500)), "PNG"))
    samples = [Sample(path, str(number), 0) for number in range(120)]
    inspect_images(samples[:2], no_progress)
    tracemalloc.start()
    inspection = inspect_images(samples, no_progress)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(inspection.samples) == 120
    assert kept < 120 * 2000
    assert np.array_equal(inspection.sizes, np.full((120, 2), 500))


def test_the_phytoplankton_dataset_is_prepared(shared_datasets: Path, prepare: Prepare) -> None:
    verdict = prepare(shared_datasets / "phytoplankton-mini")
    assert [len(verdict.dataset.split(split)) for split in SPLITS] == [82, 15, 8]
    assert (len(verdict.dataset.classes), verdict.rejected, verdict.leakage) == (6, (), ())
    folders = prepare(shared_datasets / "phytoplankton-mini" / "images")
    assert folders.dataset.classes == verdict.dataset.classes
    assert folders.fingerprint == verdict.fingerprint


def test_checking_needs_no_heavy_import() -> None:
    heavy = ("tensorflow", "keras", "onnxruntime", "sklearn", "matplotlib", "scipy", "imagehash")
    code = f"import sys, model.dataset.prepare; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_a_dataset_in_an_archive_with_a_top_folder_is_read(
    class_folders: Path, tmp_path: Path, prepare: Prepare, suffix: str
) -> None:
    files = {f"top/{path.relative_to(class_folders)}": path.read_bytes() for path in class_folders.rglob("*.jpg")}
    archive = tmp_path / f"animals.{suffix}"
    archive.write_bytes(zipped(files) if suffix == "zip" else tarred(files, "w:gz"))
    verdict = prepare(archive)
    assert verdict.fingerprint == prepare(class_folders).fingerprint
    assert all(sample.path.is_file() for sample in verdict.dataset.samples)
    first = verdict.dataset.train[0]
    assert first.path.read_bytes() == (class_folders / first.name).read_bytes()

"""A dataset has the same classes and splits as a folder, as an archive and in remote storage."""

from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset.checked import checked_dataset
from model.workspace import Workspace
from tests.support.files import content_of, zipped
from tests.support.photos import encoded, random_image

KINDS = ("forest", "sea", "street")
IMAGES = [(kind, number) for kind in KINDS for number in range(4)]
IMAGE_OF = {image: encoded(random_image(at)) for at, image in enumerate(IMAGES)}


def split_folders(root: Path) -> None:
    for (kind, number), content in IMAGE_OF.items():
        part = "seg_test" if number == 3 else "seg_train"
        write(root / part / part / kind / f"{number}.jpg", content)


def table(root: Path) -> None:
    rows = ["filename;label;set"]
    for (kind, number), content in IMAGE_OF.items():
        write(root / "images" / f"{kind}_{number}.jpg", content)
        rows.append(f"{kind}_{number};{kind};{'test' if number == 3 else 'training'}")
    write(root / "labels.csv", "\r\n".join(rows).encode("utf-16"))


def list_files(root: Path) -> None:
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for (kind, number), content in IMAGE_OF.items():
        write(root / "images" / kind / f"{number}.jpg", content)
        lines["test" if number == 3 else "train"].append(f'"{kind}\\{number}.jpg",{KINDS.index(kind)}')
    for split, of_split in lines.items():
        write(root / "dataset_files" / f"{split}.txt", "\r\n".join(of_split).encode())
    write(root / "dataset_files" / "classes.txt", "\n".join(KINDS).encode())


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def counts(dataset: str, workspace: Path) -> dict:
    with checked_dataset(TrainConfig(dataset=dataset, folds=0), Workspace(workspace), "a test") as verdict:
        return verdict.counts


@pytest.mark.parametrize("layout", [split_folders, table, list_files])
def test_folder_archive_and_remote_copy_have_the_same_classes_and_splits(
    layout: object, remote_folder: Path, tmp_path: Path
) -> None:
    photos = remote_folder / "photos"
    layout(photos)
    archive = tmp_path / "photos.zip"
    archive.write_bytes(zipped({f"photos/{name}": content for name, content in content_of(photos).items()}))
    expected = {"train": dict.fromkeys(KINDS, 2), "val": dict.fromkeys(KINDS, 1), "test": dict.fromkeys(KINDS, 1)}
    remote = f"rshare:{remote_folder.name}/photos"
    for dataset in (str(photos), str(archive), remote):
        assert counts(dataset, tmp_path) == expected

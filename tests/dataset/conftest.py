"""Images and datasets made by the tests themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model.config import TrainConfig
from model.dataset.prepare import Verdict, prepare_dataset
from tests.support.photos import encoded, random_image


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """A folder per class: cat, dog and owl with 10 different images each."""
    root = tmp_path / "animals"
    for label, name in enumerate(("cat", "dog", "owl")):
        (root / name).mkdir(parents=True)
        for number in range(10):
            (root / name / f"{number}.jpg").write_bytes(encoded(random_image(100 * label + number)))
    return root


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Lists in dataset_files/: cat and dog with 6 different images each, 4 for training, 1 for val, 1 for test."""
    root = tmp_path / "listed"
    (root / "images").mkdir(parents=True)
    (root / "dataset_files").mkdir()
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number in range(12):
        name, split = f"photo {number}.jpg", ("train", "train", "train", "train", "val", "test")[number // 2]
        (root / "images" / name).write_bytes(encoded(random_image(number)))
        lines[split].append(f"{name} {number % 2}\n")
    (root / "dataset_files" / "classes.txt").write_text("cat\ndog\n")
    for split, text in lines.items():
        (root / "dataset_files" / f"{split}.txt").write_text("".join(text))
    return root


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., Verdict]:
    """`prepare_dataset` with options by name; few images are divided as many are."""
    return lambda source, **options: prepare_dataset(source, TrainConfig(**{"folds": 0} | options), tmp_path / "work")


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """The datasets folder beside the checkout."""
    directory = Path(__file__).resolve().parents[3] / "shared" / "datasets"
    if not directory.is_dir():
        pytest.skip(f"there is no datasets folder beside the checkout: {directory}")
    return directory

"""Cost and gain of the three choices of the studio on real photos, written into `presets/measured.json`.

How: the cost is the median of three complete trainings of phytoplankton-mini by the command `train`, from the check of
the photos to the report, with the backbone converted before and no cached features. The accuracy is that of 5-fold
cross-validation, by the method of `benchmarks.real_data` with one seed, with its 95 % interval.

Depends on: the datasets folder beside the checkout; without it, nothing is measured.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_data import DATASETS, FOLDS, PLANKTON, SEEDS, LabelledPhotos, cross_validate, plankton_photos
from benchmarks.tables import markdown_table
from model import durable
from model.config import TrainConfig
from model.measurements import fraction_interval
from model.presets import measured_path, preset_options
from model.registry import find_bundle, read_cost
from model.resources import available_processors
from model.schema import load
from model.studio.choices import CHOICES
from model.workspace import Workspace

_ROUNDS = 4
_TOPGRAFT = (sys.executable, "-c", "import sys; from model.cli import main; sys.exit(main())")


def main() -> None:
    """Print a row for each choice, and write the file."""
    if not DATASETS.is_dir():
        print(f"Skipped: there is no {DATASETS}, where the photos would be.")
        return
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        os.environ["TOPGRAFT_CACHE"] = str(home / "cache")
        photos = plankton_photos(home / "plankton")
        seconds = _seconds(home)
        found = {choice: {"seconds": seconds[choice]} | _accuracy(photos, choice) for choice in CHOICES}
    about = {"photos": len(photos.names), "classes": len(photos.classes), "processors": available_processors()}
    durable.write_json(measured_path(), about | {"choices": found})
    rows = [
        [choice, f"{row['seconds']:.1f} s", "{:.3f} ({:.3f} to {:.3f})".format(row["accuracy"], *row["interval"])]
        for choice, row in found.items()
    ]
    print(markdown_table([f"{about['photos']} photos, {about['classes']} classes", "training", "accuracy"], rows))


def _seconds(home: Path) -> dict[str, float]:
    """Median seconds of a training of each choice; one round to warm up, then the choices in turn."""
    rounds = [{choice: _train(home, f"{choice}-{number}", choice) for choice in CHOICES} for number in range(_ROUNDS)]
    return {choice: statistics.median(measured[choice] for measured in rounds[1:]) for choice in CHOICES}


def _accuracy(photos: LabelledPhotos, choice: str) -> dict[str, Any]:
    config = load(TrainConfig, preset_options({"preset": choice}))
    [accuracy] = cross_validate(photos, config, SEEDS[:1]).accuracies
    total = len(photos.names)
    return {"accuracy": accuracy, "interval": fraction_interval(accuracy * total, total, FOLDS)}


def _train(home: Path, name: str, preset: str) -> float:
    """Seconds of a complete training."""
    (home / "models").mkdir(exist_ok=True)
    shutil.rmtree(home / "cache" / "features", ignore_errors=True)
    arguments = ["--workspace", str(home), "train", "--dataset", str(PLANKTON), "--name", name, "--preset", preset]
    subprocess.run([*_TOPGRAFT, *arguments], check=True, stdout=subprocess.DEVNULL)
    seconds = read_cost(find_bundle(Workspace(home), name)).seconds
    assert seconds is not None
    return seconds


if __name__ == "__main__":
    main()

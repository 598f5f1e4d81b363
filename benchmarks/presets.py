"""Results of each preset on the real photos, written into its file in `presets/`.

How: the method of `benchmarks.real_data`: 5 folds, three seeds of the folds, including checks and training. The presets
that fine-tune take minutes a fold and get one seed, whose folds give the range.

Depends on: the datasets folder beside the checkout; without it, nothing is measured.
"""

import os
import re
import statistics
import tempfile
from pathlib import Path

from benchmarks.real_data import DATASETS, SEEDS, CrossValidation, cross_validate, lego_crops, plankton_photos
from benchmarks.tables import markdown_table
from model import durable
from model.config import NO_PRESET, PRESETS, TrainConfig
from model.presets import preset_options, preset_path
from model.schema import load

_MEASURED = re.compile(r"^# measured: .*$", re.MULTILINE)


def main() -> None:
    """Print a row for each preset, and write its results into its file."""
    if not DATASETS.is_dir():
        print(f"Skipped: there is no {DATASETS}, where the photos would be.")
        return
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TOPGRAFT_CACHE"] = str(Path(directory) / "cache")
        sets = {
            "phytoplankton-mini": plankton_photos(Path(directory) / "plankton"),
            "lego-signs, crops": lego_crops(Path(directory) / "lego"),
        }
        rows = []
        for name in PRESETS:
            config = load(TrainConfig, preset_options({"preset": name}))
            seeds = SEEDS if config.fine_tune == "none" else SEEDS[:1]
            found = {photos: cross_validate(sets[photos], config, seeds) for photos in sets}
            rows.append([f"`{name}`", *(cell for measured in found.values() for cell in _cells(measured))])
            if name != NO_PRESET:
                _write_into(preset_path(name), found)
    header = [f"{photos}: {what}" for photos in sets for what in ("accuracy (range)", "macro-F1", "a fold")]
    print(markdown_table(["preset", *header], rows))


def _cells(found: CrossValidation) -> list[str]:
    return [_accuracy(found), f"{statistics.mean(found.f1_scores):.3f}", f"{statistics.median(found.seconds):.1f} s"]


def _accuracy(found: CrossValidation) -> str:
    """Mean, minimum and maximum over the seeds, or over the folds of a single seed."""
    of_seeds = len(found.accuracies) > 1
    values = found.accuracies if of_seeds else found.accuracies_of_folds
    unit = "seeds" if of_seeds else "folds"
    return f"{statistics.mean(found.accuracies):.3f} ({unit}: {min(values):.3f} to {max(values):.3f})"


def _write_into(path: Path, found: dict[str, CrossValidation]) -> None:
    """Replace the line of the preset's file with its results."""
    text = path.read_text(encoding="utf-8")
    results = "; ".join(f"{photos} {_accuracy(measured)}" for photos, measured in found.items())
    line = f"# measured: accuracy (range) in cross-validation on {results}"
    durable.write_text(path, _MEASURED.sub(lambda _: line, text))


if __name__ == "__main__":
    main()

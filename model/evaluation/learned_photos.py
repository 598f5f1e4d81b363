"""Photos of a dataset that a model learned from, recognized by their content whatever their names are."""

import re
from collections.abc import Sequence
from typing import Literal

from model import bundle_files
from model.bundle import Bundle
from model.dataset.verdict import LEARNED_SPLITS, Verdict

LearnedFrom = Literal["none", "unknown", "tuned", "all"]
"""Which of the evaluated photos a model learned from: none; unknown, as nothing is recorded; its options at least were
chosen on all of them; it learned from all of them."""

_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  .*")


def is_training_dataset(bundle: Bundle, verdict: Verdict) -> bool:
    """Whether a dataset has the images and classes of the dataset that the model was trained on."""
    return verdict.fingerprint == bundle.manifest.dataset.get("fingerprint")


def learned_names(bundle: Bundle, verdict: Verdict, splits: Sequence[str] = LEARNED_SPLITS) -> frozenset[str] | None:
    """Names of the photos of a dataset that a model learned from; None if the model did not record them.

    Args:
        verdict: the checked dataset.
        splits: the splits of the training to count.
    """
    files = {split: f"{bundle_files.DATASET_FILES}/{split}" for split in splits}
    if all(f"{file}.sha256" in bundle.manifest.files for file in files.values()):
        lines = [line for file in files.values() for line in _lines(bundle, f"{file}.sha256")]
        learned = {found[1] for line in lines if (found := _CHECKSUM_LINE.fullmatch(line))}
        return frozenset(name for name, checksum in verdict.content_hashes.items() if checksum in learned)
    if not is_training_dataset(bundle, verdict):
        return None
    listed = [f"{file}.txt" for file in files.values() if f"{file}.txt" in bundle.manifest.files]
    if not listed:
        return None
    return frozenset(line.rpartition(" ")[0] for file in listed for line in _lines(bundle, file))


def records_photos(bundle: Bundle) -> bool:
    """Whether a model recorded the photos that it learned from: their checksums, or their names."""
    return f"{bundle_files.DATASET_FILES}/{LEARNED_SPLITS[0]}.txt" in bundle.manifest.files


def learned_unknown(name: str) -> str:
    """Warning about photos evaluated with a model that did not record its training photos."""
    return f"no checksums of the training photos of {name} are recorded: photos that it learned from may be among these"


def _lines(bundle: Bundle, file: str) -> list[str]:
    return bundle.read_file(file).decode(errors="surrogateescape").split("\n")

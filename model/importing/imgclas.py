"""Folder of a trained model of `imgclas`, the AI4OS module ai4os-image-classification-tf.

    conf/conf.json             every option; some of the groups `model` and `dataset` are required
    ckpts/                     final_model.h5, or as .keras; or best_model
    dataset_files/classes.txt  names of the classes, in label order
    dataset_files/train.txt    and val.txt, test.txt: lines `path label`; may be missing
    stats/stats.json           loss and accuracy of each epoch; may be missing

This module only reads. Problems with required files are reported all at once; optional files that
cannot be read become warnings.
"""

import dataclasses
import datetime
import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.dataset.list_lines import parse_line
from model.dataset.listing import CLASSES, DATASET_FILES
from model.errors import ModelError
from model.files.browsing import describe_content
from model.reading import UnreadableError, describe, open_regular, read_json, read_regular, unreadable
from model.received import listed, quoted
from model.results import SPLITS

CONF = "conf/conf.json"
CHECKPOINTS = "ckpts"
STATS = "stats/stats.json"
MODES = ("tf", "torch", "caffe")

_BEST_FIRST = ("final_model.h5", "final_model.keras", "best_model.keras", "best_model.h5")
# The first bytes of the content that a suffix stands for: HDF5, ZIP.
_FORMATS = {".h5": b"\x89HDF\r\n\x1a\n", ".keras": b"PK\x03\x04"}
# The largest network of Keras, with the state of its optimizer, has 1.5 GB.
_MAX_CHECKPOINT_BYTES = 4 * 1024**3
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}_\d{6}")
_LARGEST_IMAGE = 4096
_MAX_CONF_BYTES = 4 * 1024**2
_MAX_STATS_BYTES = 16 * 1024**2
_MAX_LIST_BYTES = 64 * 1024**2
_MAX_NAMED = 5

EXPECTED = f"""the folder of a model trained by imgclas, or a .tar.xz, .tar.gz, .tar or .zip of it, with
  {CONF}
  {CHECKPOINTS}/{_BEST_FIRST[0]} (or .keras, or best_model)
  {DATASET_FILES}/{CLASSES}"""


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of imgclas: from RGB pixels in [0, 255] to the input of the network.

    Attributes:
        mode: after subtracting the mean, `caffe` swaps to BGR, `tf` divides by 127.5, `torch` divides by `deviation`.
        mean, deviation: one value each for red, green and blue; the deviation is 1 in modes that do not use it.
    """

    mode: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Preprocess images (n, height, width, 3): float32 of the same shape."""
        centred = images.astype(np.float32) - np.array(self.mean, np.float32)
        if self.mode == "caffe":
            return np.ascontiguousarray(centred[..., ::-1])
        divisor = 127.5 if self.mode == "tf" else np.array(self.deviation)
        return (centred / divisor).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class TrainedFolder:
    """Description of a model trained by imgclas, without its network.

    Attributes:
        checkpoint: file of the network.
        conf: content of conf.json.
        backbone: name of the pretrained network in conf.json.
        image_size: height and width of the input of the network, in pixels.
        counts: split -> class -> number of images, for the splits that have a list.
        stats: name -> value per epoch; empty if stats.json is missing or cannot be read.
        warnings: sentences about optional files that could not be read.
    """

    directory: Path
    checkpoint: Path
    conf: dict[str, Any]
    backbone: str
    image_size: int
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    stats: dict[str, list[float]]
    warnings: tuple[str, ...]

    @property
    def started(self) -> str | None:
        """Start of the training as ISO 8601, assumed to be UTC; None if the name of the folder is no timestamp."""
        if not _TIMESTAMP.fullmatch(self.directory.name):
            return None
        try:
            moment = datetime.datetime.strptime(self.directory.name, "%Y-%m-%d_%H%M%S")
        except ValueError:
            return None
        return moment.replace(tzinfo=datetime.timezone.utc).isoformat()

    @property
    def final_epoch(self) -> dict[str, float]:
        """Values of the last epoch by their names in stats.json; empty if the weights are those of another epoch."""
        if not self.checkpoint.name.startswith("final_model"):
            return {}
        return {name: values[-1] for name, values in self.stats.items() if values}


def find_trained_folder(root: Path) -> Path:
    """Folder of a trained model: `root`, or the only folder in it, at any depth."""
    folder = root
    while not any((folder / name).exists() for name in ("conf", CHECKPOINTS, DATASET_FILES)):
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
        if len(inside) != 1:
            raise ModelError(f"{root}: expected {EXPECTED}\nfound {describe_content(folder)}")
        folder = inside[0]
    return folder


def read_trained_folder(directory: Path) -> TrainedFolder:
    """Read the folder of a trained model, without its network.

    Raises:
        ModelError: required files are missing or invalid; the message lists all problems.
    """
    problems: list[str] = []
    checkpoint = _find_checkpoint(directory / CHECKPOINTS, problems)
    if checkpoint is not None:
        _check_beginning(checkpoint, problems)
    classes = _read_classes(directory / DATASET_FILES / CLASSES, problems)
    conf = _read_conf(directory / CONF, problems)
    settings = _Settings(conf, problems) if conf is not None else None
    if settings is not None and classes and settings.classes not in (None, len(classes)):
        problems.append(
            f"{CONF} has model.num_classes {settings.classes}, {DATASET_FILES}/{CLASSES} names {len(classes)} classes: "
            "expected the same number. Restore the classes.txt of this training"
        )
    if problems or checkpoint is None or conf is None or settings is None:
        listed = "\n  ".join(problems)
        raise ModelError(
            f"{directory}: cannot be imported:\n  {listed}\nExpected {EXPECTED}\nFound {describe_content(directory)}"
        )
    warnings: list[str] = []
    return TrainedFolder(
        directory,
        checkpoint,
        conf,
        settings.backbone,
        settings.image_size,
        settings.preprocessing,
        classes,
        _count_images(directory / DATASET_FILES, classes, warnings),
        _read_stats(directory / STATS, warnings),
        tuple(warnings),
    )


def _find_checkpoint(directory: Path, problems: list[str]) -> Path | None:
    for name in _BEST_FIRST:
        if (directory / name).is_file():
            return directory / name
    others = sorted(path for path in directory.glob("*") if path.suffix in _FORMATS and path.is_file())
    if len(others) == 1:
        return others[0]
    if others:
        problems.append(
            f"{CHECKPOINTS}/: expected {_BEST_FIRST[0]}, or one file of the network, found several: "
            f"{', '.join(path.name for path in others)}. Rename the one to use in a copy of the folder"
        )
        return None
    found = describe_content(directory) if directory.is_dir() else "no such folder"
    problems.append(
        f"no checkpoint: expected {CHECKPOINTS}/{_BEST_FIRST[0]}, .keras, or best_model, found in {CHECKPOINTS}/: "
        f"{found}. A failed training of imgclas leaves such a folder without a model"
    )
    return None


def _check_beginning(checkpoint: Path, problems: list[str]) -> None:
    """Check the size and the first bytes of the network, before it is copied."""
    signature = _FORMATS[checkpoint.suffix]
    with open_regular(checkpoint) as stream:
        size, beginning = os.fstat(stream.fileno()).st_size, stream.read(len(signature))
    if size > _MAX_CHECKPOINT_BYTES:
        found = f"{size:,} bytes, expected at most {_MAX_CHECKPOINT_BYTES:,}"
    elif beginning != signature:
        found = "another content, expected a complete network saved by Keras. Save it again where it was trained"
    else:
        return
    problems.append(f"{CHECKPOINTS}/{checkpoint.name}: found {found}")


def _read_classes(path: Path, problems: list[str]) -> tuple[str, ...]:
    try:
        with unreadable():
            text = read_regular(path, _MAX_CONF_BYTES).decode("utf-8-sig")
    except (OSError, UnreadableError) as error:
        reason = error.strerror if isinstance(error, OSError) else describe(error)
        problems.append(f"{DATASET_FILES}/{CLASSES}: expected one class name per line, found: {reason}")
        return ()
    # imgclas skips blank lines too.
    names = [name for name in (line.strip() for line in text.split("\n")) if name]
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if not names or repeated:
        found = f"more than once: {listed([*map(quoted, repeated)], ', ', _MAX_NAMED)}" if repeated else "none"
        problems.append(f"{DATASET_FILES}/{CLASSES}: expected distinct class names, one per line, found {found}")
    return tuple(names)


def _read_conf(path: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        conf = read_json(path, _MAX_CONF_BYTES, not_finite=True)
    except OSError as error:
        problems.append(f"{CONF}: expected the options of the training, found: {error.strerror}")
        return None
    except UnreadableError as error:
        problems.append(f"{CONF}: expected JSON, received: {error}")
        return None
    if not isinstance(conf, dict):
        problems.append(f"{CONF}: expected groups of options such as `model`, received {quoted(conf)}")
        return None
    return conf


class _Settings:
    """Validated options that determine the input of the network; each problem is added to `problems`."""

    def __init__(self, conf: Mapping[str, Any], problems: list[str]) -> None:
        self._conf, self._problems = conf, problems
        self.backbone = self._backbone()
        self.image_size = self._image_size()
        self.classes = self._classes()
        self.preprocessing = self._preprocessing()

    def _backbone(self) -> str:
        name = self._value("model", "modelname")
        if not isinstance(name, str) or not name:
            self._refuse("model", "modelname", "the name of a network such as 'Xception'", name)
        return str(name)

    def _image_size(self) -> int:
        size = self._value("model", "image_size")
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _LARGEST_IMAGE:
            self._refuse("model", "image_size", f"a number of pixels from 1 to {_LARGEST_IMAGE}", size)
            return 0
        return size

    def _classes(self) -> int | None:
        classes = self._value("model", "num_classes")
        if classes is not None and (isinstance(classes, bool) or not isinstance(classes, int)):
            self._refuse("model", "num_classes", "a whole number", classes)
            return None
        return classes

    def _preprocessing(self) -> Preprocessing:
        mode = self._value("model", "preprocess_mode")
        if mode not in MODES:
            self._refuse("model", "preprocess_mode", f"one of {', '.join(MODES)}, as the training used", mode)
        ones = (1.0, 1.0, 1.0)
        return Preprocessing(
            str(mode), self._triple("mean_RGB"), self._triple("std_RGB", 0) if mode == "torch" else ones
        )

    def _triple(self, name: str, above: float = -math.inf) -> tuple[float, float, float]:
        values = self._value("dataset", name)
        if isinstance(values, list) and len(values) == 3 and all(_is_number(value, above) for value in values):
            return (float(values[0]), float(values[1]), float(values[2]))
        bound = "" if above == -math.inf else f" above {above}"
        self._refuse("dataset", name, f"three numbers{bound}, for red, green and blue", values)
        return (0.0, 0.0, 0.0)

    def _value(self, group: str, name: str) -> Any:
        options = self._conf.get(group)
        return options.get(name) if isinstance(options, dict) else None

    def _refuse(self, group: str, name: str, expected: str, received: Any) -> None:
        found = "nothing" if received is None else quoted(received)
        self._problems.append(f"{CONF}: {group}.{name}: expected {expected}, found {found}")


def _is_number(value: Any, above: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > above


def _count_images(directory: Path, classes: tuple[str, ...], warnings: list[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        path = directory / f"{split}.txt"
        try:
            text = read_regular(path, _MAX_LIST_BYTES).decode("utf-8-sig", errors="replace")
        except FileNotFoundError:
            continue
        except (OSError, UnreadableError) as error:
            warnings.append(f"{DATASET_FILES}/{path.name}: cannot be read: {describe(error)}")
            continue
        lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
        labels = Counter(parsed[1] for parsed in map(parse_line, lines) if parsed is not None)
        counts[split] = {name: labels[label] for label, name in enumerate(classes)}
        left_out = len(lines) - sum(counts[split].values())
        if left_out:
            warnings.append(f"{DATASET_FILES}/{path.name}: {left_out:,} of {len(lines):,} lines name no known class")
    return counts


def _read_stats(path: Path, warnings: list[str]) -> dict[str, list[float]]:
    if not path.is_file():
        return {}
    try:
        content = read_json(path, _MAX_STATS_BYTES, not_finite=True)
        with unreadable():
            return {
                name: [float(value) for value in values]
                for name, values in content.items()
                if isinstance(values, list) and all(isinstance(value, (int, float)) for value in values)
            }
    except (OSError, UnreadableError) as error:
        warnings.append(f"{STATS}: cannot be read, so the metrics are unknown: {describe(error)}")
        return {}

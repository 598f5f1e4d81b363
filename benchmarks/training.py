"""Training with a frozen backbone: features extracted once for the head, against the backbone in each epoch.

How: 1,000 photos of 500 x 400 (850 to train on, 150 to validate) and 400 test photos, all synthetic like those of the
demo dataset. Topgraft: `prepare_dataset` and `fit_classifier`, including the check of every image, features with an
empty cache, the head with its search of the L2 strength, and the refit. The baseline: tf.data decodes and resizes, and
`model.fit` trains a Dense head on the same frozen EfficientNet-Lite0 with Adam for ten epochs. Each runs in a process
of its own; importing libraries and evaluating the test photos are not timed. The second table trains over HTTP on a
running `deepaas-run`.

Depends on: the processors (ONNX Runtime and TensorFlow use all of them), and the size of the photos, which both
decode.
"""

import dataclasses
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.photos import CLASSES, write_photos
from benchmarks.server import Server, running_server
from benchmarks.tables import markdown_table, median_and_range, times, verdict
from model.backbones import find_backbone
from model.config import TrainConfig
from model.results import InputSpec, Sample, no_progress
from tests.support.processes import PeakWatcher, in_fresh_process, peak_megabytes, program

PHOTOS_PER_CLASS = {"train": 106, "val": 19, "held_out": 50}
EPOCHS = 10
REPEATS = 3
HTTP_TRAININGS = 3
BATCH_SIZE = 32
IMAGE_SIZE = 224
BACKBONE = "EfficientNetLite0"
# The module `imgclas` with MobileNet, measured earlier on the same kind of machine.
IMGCLAS_SECONDS = "24 to 62 s"


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: wall time of its parts in seconds, accuracy on the test photos, peak memory in MB.

    `processor` is the processor time of all parts in seconds.
    """

    parts: dict[str, float]
    accuracy: float
    memory: float
    processor: float

    @property
    def seconds(self) -> float:
        """Wall time without the part that is done once per machine."""
        return sum(seconds for part, seconds in self.parts.items() if part != "conversion")


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        write_thousand_photos(root)
        os.environ["TOPGRAFT_CACHE"] = str(root / "cache")
        ours = []
        for _ in range(REPEATS):
            # The first one also converts the backbone; each extracts the features again.
            shutil.rmtree(root / "cache" / "features", ignore_errors=True)
            with tempfile.TemporaryDirectory() as work_directory:
                ours.append(in_fresh_process(train_with_topgraft, root, Path(work_directory)))
        shutil.rmtree(root / "cache" / "features")
        command_seconds = _time_the_command(root)
        baseline = in_fresh_process(train_with_keras, root)
        print(_training_table(ours, baseline, command_seconds))
        print()
        print(_http_table(*_train_over_http(root)))


def train_with_topgraft(root: Path, work_directory: Path) -> Run:
    """Run the checks, features and head of a training, in a new work directory without checkpoints."""
    from model.dataset.prepare import prepare_dataset
    from model.features.extractor import extract_features
    from model.networks.converted_backbone import converted_backbone
    from model.training.fit import fit_classifier

    config = TrainConfig(backbone=BACKBONE, epochs=EPOCHS, image_size=IMAGE_SIZE)
    backbone = find_backbone(BACKBONE)
    clock = _Clock()
    converted_backbone(backbone, IMAGE_SIZE)
    clock.lap("conversion")
    verdict_of_dataset = prepare_dataset(root / "data" / "signs", config, work_directory)
    clock.lap("check")
    classifier = fit_classifier(verdict_of_dataset.training_data, config, work_directory, no_progress)
    clock.lap("features and head")
    memory, processor = peak_megabytes(), clock.processor
    held_out = _samples(root / "held_out")
    spec = InputSpec.from_config(config, verdict_of_dataset.intensity)
    features = extract_features(classifier.backbone.extract, held_out, spec, no_progress)
    answers = (features @ classifier.kernel + classifier.bias).argmax(axis=1)
    return Run(clock.parts, _accuracy(answers, held_out), memory, processor)


def train_with_keras(root: Path) -> Run:
    """Train as most tutorials do: the frozen backbone and a Dense layer, `model.fit`."""
    import keras
    import tensorflow as tf

    from model.networks.pretrained import build_backbone

    def decode(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        small = tf.image.resize(pixels, (IMAGE_SIZE, IMAGE_SIZE), antialias=True)
        return tf.cast(tf.round(small), tf.uint8), label

    def batches(samples: Sequence[Sample], shuffle: bool = False) -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices(
            ([str(sample.path) for sample in samples], [sample.label for sample in samples])
        )
        if shuffle:
            dataset = dataset.shuffle(len(samples), seed=0)
        return dataset.map(decode, tf.data.AUTOTUNE).batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)

    backbone = build_backbone(find_backbone(BACKBONE), IMAGE_SIZE, "imagenet")
    backbone.trainable = False
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    network = keras.Model(backbone.input, keras.layers.Dense(len(CLASSES))(pooled))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss, metrics=["accuracy"])
    dataset = root / "data" / "signs"
    train, val, held_out = (_samples(folder) for folder in (dataset / "train", dataset / "val", root / "held_out"))
    clock = _Clock()
    network.fit(batches(train, shuffle=True), validation_data=batches(val), epochs=EPOCHS, verbose=0)
    clock.lap("epochs")
    memory, processor = peak_megabytes(), clock.processor
    answers = network.predict(batches(held_out), verbose=0).argmax(axis=1)
    return Run(clock.parts, _accuracy(answers, held_out), memory, processor)


class _Clock:
    """Stopwatch: wall time between laps, and processor time of this process since the start."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last, self._begin = time.perf_counter(), time.process_time()

    @property
    def processor(self) -> float:
        return time.process_time() - self._begin

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.parts[part] = now - self._last
        self._last = now


def _samples(folder: Path) -> list[Sample]:
    classes = sorted(CLASSES)
    return [
        Sample(path, str(path.relative_to(folder)), classes.index(path.parent.name)) for path in folder.glob("*/*.jpg")
    ]


def _accuracy(answers: np.ndarray, samples: Sequence[Sample]) -> float:
    return float((answers == [sample.label for sample in samples]).mean())


def _time_the_command(root: Path) -> float:
    (root / "models").mkdir()
    started = time.perf_counter()
    command = [program("topgraft"), "train", "--dataset", "signs", "--epochs", str(EPOCHS), "--workspace", str(root)]
    subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def _train_over_http(root: Path) -> tuple[list[float], float]:
    """Seconds of small trainings, and the peak memory of the largest training process."""
    for training in range(HTTP_TRAININGS):
        # Different photos for each training, so that the cache holds no features.
        write_sixteen_photos(root / "data" / f"small{training}", 1000 + 10 * training)
    with _server(root) as server, PeakWatcher(server.process, "model.runs.process").watching() as watcher:
        seconds = [server.train(f"dataset=small{training}")[0] for training in range(HTTP_TRAININGS)]
        server.train(f"dataset=signs&epochs={EPOCHS}")
    return seconds, max(watcher.peaks.values())


@contextmanager
def _server(root: Path) -> Iterator[Server]:
    shutil.rmtree(root / "cache" / "features")
    with running_server("topgraft", root) as server:
        yield server


def write_thousand_photos(root: Path) -> None:
    """Write the dataset `signs` with its splits below `data/`, and other photos of its classes to `held_out`."""
    folders = {split: root / "data" / "signs" / split for split in ("train", "val")} | {"held_out": root / "held_out"}
    first = 0
    for split, count in PHOTOS_PER_CLASS.items():
        write_photos(folders[split], range(first, first + count))
        first += count


def write_sixteen_photos(directory: Path, first_seed: int) -> None:
    """Write four photos for each of the first four classes."""
    write_photos(directory, range(first_seed, first_seed + 4))
    for sign in CLASSES[4:]:
        shutil.rmtree(directory / sign)


def _training_table(ours: Sequence[Run], baseline: Run, command_seconds: float) -> str:
    middle = statistics.median(run.seconds for run in ours)
    faster = baseline.seconds / middle
    accuracy = statistics.median(run.accuracy for run in ours)
    difference = 100 * (accuracy - baseline.accuracy)
    converting, *others = ours
    memory = max(run.memory for run in others)
    images = len(CLASSES) * (PHOTOS_PER_CLASS["train"] + PHOTOS_PER_CLASS["val"])
    conversion = converting.parts["conversion"]
    rows = [
        [
            "check, features and head", f"{baseline.seconds:.0f} s", median_and_range([run.seconds for run in ours], 1),
            times(faster), verdict("10x, aim 25x", faster >= 10),
        ],
        ["of these, the check", "", median_and_range([run.parts["check"] for run in ours], 1), "", ""],
        [
            "with the conversion of the backbone, once on a machine", f"{baseline.seconds:.0f} s",
            f"{middle + conversion:.1f} s", times(baseline.seconds / (middle + conversion)), "",
        ],
        [
            "the whole command `topgraft train`: imports, export, parity check, report",
            "", f"{command_seconds:.1f} s", times(baseline.seconds / command_seconds), "",
        ],
        [
            f"accuracy on {len(CLASSES) * PHOTOS_PER_CLASS['held_out']} other photos", f"{baseline.accuracy:.3f}",
            f"{accuracy:.3f}", f"{difference:+.1f} points", verdict("not more than a point below", difference >= -1),
        ],
        [
            "peak memory up to here", f"{baseline.memory:.0f} MB", f"{memory:.0f} MB",
            times(memory / baseline.memory, 2), verdict("1,500 MB", memory < 1500),
        ],
        ["peak memory where the backbone is converted first", "", f"{converting.memory:.0f} MB", "", ""],
    ]  # fmt: skip
    return markdown_table([f"{images:,} photos, {EPOCHS} epochs", "Keras loop", "topgraft", "ratio", "goal"], rows)


def _http_table(seconds: Sequence[float], memory: float) -> str:
    middle = statistics.median(seconds)
    rows = [
        [
            "16 photos, 4 classes, default options: from POST to done", median_and_range(seconds, 1), IMGCLAS_SECONDS,
            verdict("10 s", middle < 10),
        ],
        [
            "peak memory of the training process, the photos of the table above",
            f"{memory:.0f} MB", "", verdict("1,500 MB", memory < 1500),
        ],
    ]  # fmt: skip
    return markdown_table(["training over HTTP", "topgraft", "imgclas, earlier", "goal"], rows)


if __name__ == "__main__":
    main()

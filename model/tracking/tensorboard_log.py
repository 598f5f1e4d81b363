"""TensorBoard log of a running training, written without TensorFlow.

    logs/head/, logs/fine_tune/   scalars of each epoch, among them learning rate and images per second
    logs/pictures/                augmented views; confusion matrix and most confident errors of the validation images;
                                  features of images for the projector

Figures are drawn at the end of each phase, and in between while they take at most a twentieth of the time.
"""

import dataclasses
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from model.results import Dataset, InputSpec, labels_of
from model.tracking.epoch_figures import Thumbnails, draw_confident_errors, draw_confusion_matrix
from model.tracking.projector import write_projector
from model.training.epochs import Epoch

PICTURES = "pictures"
_MAX_FRACTION_OF_TIME = 1 / 20
# Assumed cost of the first figures.
_FIRST_SECONDS = 0.3


class TensorBoardLog:
    """A `model.training.journal.Journal` in event files that TensorBoard follows."""

    def __init__(self, directory: Path, dataset: Dataset, spec: InputSpec) -> None:
        """Args:
        directory: logs/ of the model; event files of an earlier run are replaced.
        spec: input of the network, whose resize mode and intensity range the thumbnails have.
        """
        self._directory, self._dataset = directory, dataset
        self._thumbnails = Thumbnails(spec)
        self._labels = labels_of(dataset.val)
        self._curves: dict[str, _Curves] = {}
        self._images_file = EventFile(directory / PICTURES)
        self._pending: tuple[Epoch, np.ndarray] | None = None
        self._started, self._spent, self._last_cost = time.perf_counter(), 0.0, _FIRST_SECONDS

    def views(self, contact_sheet: Image.Image) -> None:
        """Log a sheet of augmented views."""
        self._images_file.add_images(0, {"augmentation": contact_sheet})

    def epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        """See `model.training.journal.Journal`."""
        if row.phase not in self._curves:
            self._draw()
            # Hours of extracted features are no reason to draw each epoch of a head that takes a second.
            self._started, self._spent = time.perf_counter() - row.seconds, 0.0
            self._curves[row.phase] = _Curves(self._directory / row.phase, len(self._dataset.train))
        if self._curves[row.phase].add(row) and val_logits is not None:
            self._pending = row, val_logits
            elapsed = time.perf_counter() - self._started
            if self._spent + self._last_cost <= _MAX_FRACTION_OF_TIME * elapsed:
                self._draw()

    def features(self, features: np.ndarray) -> None:
        """See `model.training.journal.Journal`."""
        write_projector(self._directory / PICTURES, features, self._dataset, self._thumbnails)

    def finish(self, history: Sequence[Epoch]) -> None:
        """Close the files with the scalars of `history`, which may be those of another head than logged so far."""
        self._draw()
        self._images_file.close()
        for phase, curves in self._curves.items():
            curves.finish([row for row in history if row.phase == phase])

    def _draw(self) -> None:
        if self._pending is None:
            return
        started = time.perf_counter()
        row, logits = self._pending
        matrix = draw_confusion_matrix(logits.argmax(axis=-1), self._labels, self._dataset.classes)
        errors = draw_confident_errors(logits, self._dataset.val, self._dataset.classes, self._thumbnails)
        figures = {"confusion_matrix": matrix, "most_confident_errors": errors}
        self._images_file.add_images(row.epoch, {f"{name}/{row.phase}": figure for name, figure in figures.items()})
        self._pending = None
        self._last_cost = time.perf_counter() - started
        self._spent += self._last_cost


class _Curves:
    """Scalars of the epochs of one phase."""

    def __init__(self, directory: Path, images: int) -> None:
        self._directory, self._images = directory, images
        self._file = EventFile(directory)
        self._rows: list[Epoch] = []
        self._times: list[float] = []

    def add(self, row: Epoch) -> bool:
        """Log an epoch unless it is logged already; returns whether it was new."""
        if len(self._rows) >= row.epoch:
            return False
        self._rows.append(row)
        self._times.append(time.time())
        self._file.add_scalars(row.epoch, self._values(row), self._times[-1])
        return True

    def finish(self, rows: Sequence[Epoch]) -> None:
        self._file.close()
        if list(rows) == self._rows:
            return
        file = EventFile(self._directory)
        for row, moment in zip(rows, self._times, strict=False):
            file.add_scalars(row.epoch, self._values(row), moment)
        file.close()

    def _values(self, row: Epoch) -> dict[str, float]:
        values = dataclasses.asdict(row)
        del values["phase"], values["epoch"]
        return values | {"images_per_second": self._images / row.seconds if row.seconds else 0.0}


class EventFile:
    """TensorBoard event file, the only one in its folder: others are removed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for superseded in directory.glob("events.out.tfevents.*"):
            superseded.unlink()
        self._stream = open(directory / f"events.out.tfevents.{time.time_ns()}.topgraft", "xb")  # noqa: SIM115
        self._writer = RecordWriter(self._stream)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_scalars(self, step: int, values: Mapping[str, float], moment: float) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(Event(wall_time=moment, step=step, summary=summary))

    def add_images(self, step: int, images: Mapping[str, Image.Image]) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, image=_encoded(image)) for tag, image in images.items()])
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        self._stream.close()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _encoded(image: Image.Image) -> Summary.Image:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return Summary.Image(height=image.height, width=image.width, colorspace=3, encoded_image_string=stream.getvalue())

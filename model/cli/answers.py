"""Predictions that are on the disk as soon as they are made, and become a file of the wanted form at the end.

Until then they are in `OUTPUT.part`: a line that says what the run was asked for, then a JSON object for each image.
"""

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

from model import durable
from model.errors import ConfigError
from model.locks import lock
from model.results import Prediction

_SECONDS_BETWEEN_SYNCS = 5.0
_UNGUARDED = "Do not write the same output from two commands at the same time."


class KeptAnswers:
    """The predictions of a run so far, those of an interrupted one before it too.

    Attributes:
        images: how often each name has its answer already.
    """

    def __init__(self, path: Path, stream: IO[bytes], run: dict[str, Any]) -> None:
        """Read what is there; a last line that was not written to its end is cut off.

        Args:
            path: the file, for messages.
            stream: the same, open for reading and appending.
            run: what this run was asked for, as plain JSON types.

        Raises:
            ConfigError: the file is of a run that was asked for something else.
        """
        self._path = path
        self._stream = stream
        self._synced_at = time.monotonic()
        self.images: Counter[str] = Counter()
        end = 0
        for line in self._whole_lines():
            if end == 0:
                self._check_run(line, run)
            else:
                self.images[json.loads(line)["image"]] += 1
            end += len(line)
        stream.truncate(end)
        if end == 0:
            self._write(run)

    def add(self, prediction: Prediction) -> None:
        """Keep one more."""
        self.images[prediction.image] += 1
        self._write(prediction.to_json())
        if time.monotonic() - self._synced_at > _SECONDS_BETWEEN_SYNCS:
            os.fsync(self._stream.fileno())
            self._synced_at = time.monotonic()

    def __len__(self) -> int:
        """How many there are."""
        return self.images.total()

    def __iter__(self) -> Iterator[Prediction]:
        """Read them back, one after another."""
        lines = self._whole_lines()
        next(lines)
        for line in lines:
            yield Prediction.from_json(json.loads(line))

    def _write(self, content: dict[str, Any]) -> None:
        self._stream.seek(0, os.SEEK_END)
        self._stream.write(json.dumps(durable.to_json(content)).encode() + b"\n")
        self._stream.flush()

    def _whole_lines(self) -> Iterator[bytes]:
        self._stream.seek(0)
        for line in self._stream:
            if not line.endswith(b"\n"):
                return
            yield line

    def _check_run(self, line: bytes, run: dict[str, Any]) -> None:
        try:
            before = dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{self._path}: expected the answers of an interrupted run. Remove this file.") from error
        run = durable.to_json(run)
        differing = sorted(name for name in {*before, *run} if before.get(name) != run.get(name))
        if differing:
            told = "; ".join(f"{name} was {before.get(name)!r}, is {run.get(name)!r}" for name in differing)
            raise ConfigError(
                f"{self._path}: expected the same model and options as those of the interrupted run, received others: "
                f"{told}. Use those, or remove this file to begin anew."
            )


@contextlib.contextmanager
def kept_answers(output: Path, run: dict[str, Any]) -> Iterator[KeptAnswers]:
    """The answers of the run that will become `output`; removed at the end unless the run is interrupted.

    Raises:
        ConfigError: another process writes them, or see `KeptAnswers`.
    """
    path = output.with_name(f"{output.name}.part")
    with open(path, "a+b") as stream:
        try:
            lock(stream, path, _UNGUARDED)
        except BlockingIOError as error:
            raise ConfigError(f"{path}: another command is writing it. Wait for it, or choose another file.") from error
        answers = KeptAnswers(path, stream, run)
        if len(answers):
            click.echo(f"Going on after {len(answers)} answers in {path}", err=True)
        try:
            yield answers
        except BaseException:
            click.echo(f"{len(answers)} answers are kept in {path}: the same command goes on from there.", err=True)
            raise
        path.unlink()


def write_answers(output: Path, answers: KeptAnswers, head: dict[str, Any]) -> None:
    """Write all of them as the file's ending says: a table, one JSON document, an object a line, or Parquet.

    Args:
        head: what the JSON document says before its predictions.
    """
    from model.serving.table import predictions_table, write_parquet

    suffix = output.suffix.lower()
    if suffix == ".csv":
        durable.write_csv(output, *predictions_table(list(answers)))
    elif suffix == ".json":
        durable.write_json(output, head | {"predictions": [prediction.to_json() for prediction in answers]})
    elif suffix == ".parquet":
        durable.replace_file(output, lambda stream: write_parquet(stream, answers))
    else:
        durable.replace_file(output, lambda stream: stream.writelines(map(_line, answers)))


def _line(prediction: Prediction) -> bytes:
    return json.dumps(durable.to_json(prediction.to_json()), ensure_ascii=False).encode() + b"\n"

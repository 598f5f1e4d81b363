"""Messages about files that cannot be read: the reason in words, without the number of the system's error."""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from model import schema
from model.dataset.origins import read_table
from model.errors import TopgraftError
from model.labels.server import read_token
from model.labels.suspected import read_suspected
from model.pipelines.pipeline_file import read_pipeline
from model.reading import NoRegularFileError, open_regular

READERS: dict[str, Callable[[Path], object]] = {
    "suspected labels": functools.partial(read_suspected, dataset=Path()),
    "token": read_token,
    "origins": read_table,
    "options": schema.load_file,
    "pipeline": read_pipeline,
}


@pytest.mark.parametrize("kind", ["missing", "folder"])
@pytest.mark.parametrize("reader", READERS)
def test_the_reason_is_stated_once_and_in_words(tmp_path: Path, reader: str, kind: str) -> None:
    path = tmp_path / "pipeline.yaml"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(TopgraftError) as raised:
        READERS[reader](path)
    message = raised.value.message
    assert "Errno" not in message and message.count(str(path)) == 1, message
    assert re.search("No such file|found none" if kind == "missing" else "a folder|a directory", message), message


def test_the_error_of_a_pipe_names_its_kind_and_path_without_a_number(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoRegularFileError) as raised:
        open_regular(tmp_path / "pipe")
    assert str(raised.value) == f"a folder, a pipe, a socket or a device: '{tmp_path / 'pipe'}'"

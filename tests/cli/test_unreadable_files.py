"""Files that a user names, or that lie in a folder, and are none, cannot be read or are huge: an error, at once."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model.cli.command import main
from model.reading import UnreadableError, read_option_file
from tests.support.cost import cost_of
from tests.support.odd_files import ODD_PLACES
from tests.support.photos import encoded, random_image
from tests.support.slowness import slowness
from tests.support.small_model import CLASSES, write_model

_SECONDS = 60
MAX_BYTES = 200 * 1024**2
# A second on an idle machine.
MAX_PROCESSOR_SECONDS = 5.0
_LARGE = 400 * 1024**2


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # The address of a socket has at most 107 bytes.
        server.bind(os.path.relpath(path))


def _denied(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


PLACES: dict[str, Callable[[Path], object]] = ODD_PLACES | {"a socket": _socket, "a file of another user": _denied}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the model `m`, and a dataset of its classes."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "m")
    for label, name in enumerate(CLASSES):
        (home / "data" / "classes" / name).mkdir(parents=True)
        for number in range(4):
            photo = encoded(random_image(4 * label + number), "PNG")
            (home / "data" / "classes" / name / f"{number}.png").write_bytes(photo)
    return home


@pytest.fixture(autouse=True)
def in_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOPGRAFT_HOME", str(home))
    signal.alarm(_SECONDS)
    yield
    signal.alarm(0)


def _beside_photos(name: str) -> Callable[[Path, Path], Path]:
    def place(home: Path, folder: Path) -> Path:
        (folder / "data").mkdir()
        (folder / "data" / "0.png").symlink_to(home / "data" / "classes" / "red" / "0.png")
        return folder / "data" / name

    return place


def _in_lists(name: str) -> Callable[[Path, Path], Path]:
    def place(home: Path, folder: Path) -> Path:
        lists = folder / "data" / "dataset_files"
        lists.mkdir(parents=True)
        (folder / "data" / "images").symlink_to(home / "data" / "classes")
        contents = {"classes.txt": "red\ngreen\n", "train.txt": "red/0.png 0\ngreen/0.png 1\n", "val.txt": ""}
        for other, content in contents.items():
            if other != name:
                (lists / other).write_text(content)
        return lists / name

    return place


def _new(name: str) -> Callable[[Path, Path], Path]:
    return lambda home, folder: folder / name


SERVER = ("import-labels", "--url", "http://127.0.0.1:9", "--project", "1")
CHILD_MODULE = ("child-module", "m", "--weights-url", "https://127.0.0.1/m.tar.xz", "--sha256", "0" * 64)
Place = Callable[[Path, Path], Path]
READERS: dict[str, tuple[Place, tuple[str, ...]]] = {
    "a photo": (_new("a.png"), ("predict", "m", "a.png")),
    "a list of photos": (_new("a.txt"), ("predict", "m", "a.txt")),
    "a dataset": (_new("data"), ("check", "./data")),
    "an archive": (_new("data.zip"), ("check", "./data.zip")),
    "classes": (_in_lists("classes.txt"), ("check", "./data")),
    "a list of training photos": (_in_lists("train.txt"), ("check", "./data")),
    "a list of validation photos": (_in_lists("val.txt"), ("check", "./data")),
    "a table": (_beside_photos("labels.csv"), ("check", "./data", "--table", "labels.csv")),
    "a workbook": (_beside_photos("labels.xlsx"), ("check", "./data", "--table", "labels.xlsx")),
    "options": (_new("options.yaml"), ("train", "--config", "options.yaml")),
    "a model": (_new("model.tar.xz"), ("import", "./model.tar.xz")),
    "labels": (_new("labels.json"), ("import-labels", "./labels.json", "./out")),
    "a token": (_new("token"), (*SERVER, "--token-file", "token", "./out")),
    "a password": (_new("password"), ("publish", "m", "--to", "cloud:x", "--dry-run", "--password-file", "password")),
    "a sample": (_new("s.png"), (*CHILD_MODULE, "--out", "./c", "--sample", "s.png")),
}


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_an_error_and_is_not_waited_for(
    name: str, kind: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.reading._PIPE_SECONDS", 0.2)
    if kind == "a file of another user" and os.geteuid() == 0:
        pytest.skip("root can read every file")
    place, arguments = READERS[name]
    PLACES[kind](place(home, tmp_path))
    assert main(list(arguments)) in (2, 3, 4, 5)


def test_an_archive_is_not_written_over_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tar.xz").mkdir()
    assert main(["export", "m", "--output", "m.tar.xz"]) == 2
    assert "expected a file .tar.xz" in capsys.readouterr().err


def test_an_option_file_may_be_the_output_of_a_command(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("secret\n",))
    writer.start()
    assert read_option_file(tmp_path / "pipe", 100) == b"secret\n"
    writer.join()


def test_an_option_file_of_an_endless_command_is_refused(tmp_path: Path) -> None:
    with open("/dev/zero", "rb") as zeros, subprocess.Popen(["cat"], stdin=zeros, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        with pytest.raises(UnreadableError, match="at most 100 bytes"):
            read_option_file(Path(f"/proc/self/fd/{command.stdout.fileno()}"), 100)
        command.kill()


LINES = {
    "a list of photos": b"a.png\n",
    "classes": b"red\n",
    "a list of training photos": b"red/0.png 0\n",
    "a table": b"file,label\n",
    "options": b"epochs: 50\n",
    "labels": b"[],\n",
    "a token": b"x",
    "a password": b"x",
    "a model": b"\0",
    "an archive": b"PK\x03\x04",
}


@pytest.mark.parametrize("name", LINES)
def test_a_file_of_400_mb_is_refused_at_once(name: str, home: Path, tmp_path: Path) -> None:
    place, arguments = READERS[name]
    block = LINES[name] * (1024**2 // len(LINES[name]))
    with open(place(home, tmp_path), "wb") as stream:
        stream.write(block)
        # The rest takes no room on the disk.
        stream.truncate(_LARGE)
    cost = cost_of(lambda: main(list(arguments)))
    assert cost.answer in ("2", "3", "4"), cost.answer
    assert cost.seconds < MAX_PROCESSOR_SECONDS * slowness() and cost.size < MAX_BYTES

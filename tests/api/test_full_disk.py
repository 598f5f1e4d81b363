"""A full temporary folder: every write to it is refused clearly, and no partial file is left."""

import asyncio
import base64
import contextlib
import io
import pickle
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from multidict import CIMultiDict, CIMultiDictProxy

from api.errors import Unavailable
from api.fetch import FetchLimits
from api.incoming import check_request
from api.temporary import SentFile, UploadedFile, passing_files
from api.uploads import open_photos
from model.scratch import ProcessFolder
from tests.support.deepaas_server import running_server
from tests.support.full_disks import small_disk, small_files
from tests.support.photos import photo
from tests.support.small_model import write_small_model
from tests.support.strange_servers import PHOTO, Script, head, listening, play

ROOM = 1 << 18
# Above what aiohttp keeps in memory.
LARGE = 3 << 19


@pytest.fixture(params=["disk", "files"])
def scratch(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder, without room for `LARGE`."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    uploads = ProcessFolder("uploads")
    monkeypatch.setattr("api.temporary._UPLOADS", uploads)
    with small_disk(folder, ROOM) if request.param == "disk" else small_files(ROOM):
        yield folder
        uploads.remove()
        assert list(folder.iterdir()) == []
        assert shutil.disk_usage(folder).used == 0 or request.param == "files"


def _served(handle: Callable[[web.Request], Awaitable[web.Response]], body: bytes) -> tuple[int, Any]:
    """Status and JSON of the answer to a form with one file."""

    async def run() -> tuple[int, Any]:
        application = web.Application(client_max_size=0, middlewares=[check_request])
        application.router.add_post("/predict/", handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/predict/"
            async with ClientSession() as client, client.post(url, data={"image": io.BytesIO(body)}) as response:
                return response.status, await response.json()
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def test_a_full_disk_while_receiving_an_upload_is_reported(scratch: Path) -> None:
    async def never(_: web.Request) -> web.Response:
        pytest.fail("it was handled")

    status, answer = _served(never, bytes(LARGE))
    assert status == 503
    assert str(scratch) in answer["message"] and "TMPDIR" in answer["message"]


_NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())


def _field(content: bytes, name: str = "image") -> web.FileField:
    return web.FileField(name, "a.jpg", io.BufferedReader(io.BytesIO(content)), "image/jpeg", _NO_HEADERS)


def test_a_full_disk_while_copying_uploads_is_reported(scratch: Path) -> None:
    predict = passing_files(lambda **options: pytest.fail("it was called"))
    with pytest.raises(Unavailable, match="cannot be stored in"):
        predict(other=_field(b"fits", "other"), image=_field(bytes(LARGE)))


def test_a_full_disk_while_decoding_a_data_uri_is_reported(scratch: Path) -> None:
    uri = "data:;base64," + base64.b64encode(bytes(LARGE)).decode()
    with pytest.raises(Unavailable, match="cannot be stored in"), open_photos(None, uri):
        pytest.fail("it was opened")


def test_a_full_disk_while_fetching_a_url_is_not_blamed_on_the_remote_server(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(head(f"Content-Length: {LARGE}") + bytes(LARGE))
    with listening("127.0.0.1", 0, lambda connection, _: _answer(connection, script)) as port:
        limits = FetchLimits(4 << 20, private=True, ports=[port])
        monkeypatch.setattr("api.uploads._fetch_limits", lambda: limits)
        with pytest.raises(Unavailable, match="cannot be stored in"), open_photos(None, f"http://127.0.0.1:{port}/"):
            pytest.fail("it was opened")


def _answer(connection: Any, script: Script) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(1 << 16)
        play(script, connection)


def test_a_missing_upload_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(Unavailable, match="No such file"), open_photos(None, "data:,x"):
        pytest.fail("it was opened")


def test_a_large_upload_is_handed_on_as_deepaas_does_and_its_field_takes_no_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    field = _field(bytes(LARGE))
    options = passing_files(lambda **given: given)(image=field, top_k=3)
    [path] = tmp_path.glob("topgraft-uploads-*/*")
    assert options == {"image": UploadedFile("image", str(path), "image/jpeg", "a.jpg"), "top_k": 3}
    assert path.read_bytes() == bytes(LARGE) and path.stat().st_mode & 0o077 == 0
    assert field.file.closed


def test_a_small_upload_is_handed_on_in_memory_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    field = _field(PHOTO)
    image = passing_files(lambda **given: given)(image=field)["image"]
    assert (image.content, image.original_filename, list(tmp_path.iterdir())) == (PHOTO, "a.jpg", [])
    assert field.file.closed
    with open_photos(pickle.loads(pickle.dumps(image)), None) as photos:
        assert (photos.single, photos.name) == (PHOTO, "a.jpg")


def test_uploads_that_wait_take_limited_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("api.temporary._MAX_ALL_IN_MEMORY", 2 * len(PHOTO))
    predict = passing_files(lambda image: image)
    waiting = [predict(image=_field(PHOTO)) for _ in range(3)]
    assert [isinstance(image, SentFile) for image in waiting] == [True, True, False]
    assert Path(waiting[2].filename).read_bytes() == PHOTO
    del waiting[0]
    assert isinstance(predict(image=_field(PHOTO)), SentFile)


@pytest.mark.slow  # a whole server
def test_a_server_with_little_disk_space_answers_requests_that_fit(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "scratch"
    for path in (home / "data", folder):
        path.mkdir(parents=True)
    write_small_model(home / "models" / "small")
    with small_disk(folder, 5 << 20), running_server(home, TMPDIR=str(folder)) as server:
        for megabytes in (8, 3, 8, 3):
            # Of three there is room for one copy, not for the second, which the worker is given.
            refused = server.predict(photo() + bytes(megabytes << 20))
            assert refused.status_code == 503, refused.text
            assert str(folder) in refused.json()["message"]
            assert server.predict(photo() + bytes(2 << 20)).status_code == 200
            _nothing_left(folder)


def _nothing_left(folder: Path) -> None:
    # The service keeps the folder of its uploads until it ends.
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert shutil.disk_usage(folder).used == 0

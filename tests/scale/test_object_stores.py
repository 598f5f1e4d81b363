"""Photos and parts in S3: wrong and right keys, missing buckets, photos that are removed, servers that are busy."""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.fs
import pytest

from model.errors import (
    ConfigError,
    DatasetError,
    ImageError,
    StorageError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageUnreachableError,
)
from model.scale import object_stores
from model.scale.featurize import FeaturizeResult
from model.scale.files import File
from model.scale.folders import open_folder
from model.scale.parts import open_parts
from model.scale.store_folder import StoreFolder
from tests.scale.test_featurize import bytes_of, rows_of
from tests.support.photos import write_photos
from tests.support.ports import free_port
from tests.support.storage_servers import ACCESS_KEY, BUCKET, SECRET_KEY, StorageServer, s3_server

Run = Callable[..., FeaturizeResult]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    """An S3 server with photos in the folder `photos` of its bucket."""
    folder = tmp_path_factory.mktemp("s3")
    write_photos(folder / BUCKET / "photos")
    with s3_server(folder) as running:
        yield running


@pytest.fixture
def store(server: StorageServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    """The server, as the environment of AWS describes it."""
    variables = {"AWS_ENDPOINT_URL_S3": server.url, "AWS_REGION": "us-east-1"}
    variables |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(object_stores, "_MAX_ATTEMPTS", 2)
    object_stores._s3.cache_clear()
    yield server
    object_stores._s3.cache_clear()


def test_photos_and_parts_in_s3_give_the_rows_of_a_folder(run: Run, store: StorageServer, tmp_path: Path) -> None:
    run(source=store.folder / BUCKET / "photos", out=tmp_path / "expected")
    source, out = f"s3://{BUCKET}/photos", f"s3a://{BUCKET}/features/lite0"
    assert run(source=source, out=out, components=2).written == 4
    stored = store.folder / BUCKET / "features" / "lite0"
    assert rows_of(stored) == rows_of(tmp_path / "expected")
    assert (stored / "_SUCCESS").exists() and (stored / "pca.npz").exists()
    assert run(source=source, out=out).written == 0
    (stored / "part-00001.parquet").unlink()
    assert run(source=source, out=out).written == 1
    for content in bytes_of(stored).values():
        assert SECRET_KEY.encode() not in content and ACCESS_KEY.encode() not in content


def test_overwriting_in_s3_leaves_no_part_of_the_former_run(run: Run, store: StorageServer, tmp_path: Path) -> None:
    source, out = f"s3://{BUCKET}/photos", f"s3://{BUCKET}/overwritten"
    run(source=source, out=out, max_photos=2, components=2)
    stored = store.folder / BUCKET / "overwritten"
    # As an interrupted run leaves it.
    for name in ("_SUCCESS", "part-00001.parquet", "part-00006.parquet"):
        (stored / name).unlink()
    with pytest.raises(ConfigError, match="chunk_photos was 2 and is 5"):
        run(source=source, out=out)
    assert run(source=source, out=out, overwrite=True).written == 4
    run(source=source, out=tmp_path / "expected")
    assert bytes_of(stored) == bytes_of(tmp_path / "expected")
    assert open_parts(out).plan == open_parts(str(tmp_path / "expected")).plan


def test_wrong_keys_and_missing_buckets_are_refused_before_the_work(
    run: Run, store: StorageServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(StorageNotFoundError):
        run(source="s3://missing-bucket/photos")
    with pytest.raises(StorageError):
        run(source=tmp_path / "photos", out="s3://missing-bucket/out")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret-key")
    object_stores._s3.cache_clear()
    with pytest.raises(StorageRefusedError) as refused:
        run(source=f"s3://{BUCKET}/photos")
    assert "another-secret-key" not in refused.value.message
    assert not (tmp_path / "out").exists()


def test_a_photo_that_is_removed_or_changed_is_an_image_error(store: StorageServer) -> None:
    folder = StoreFolder(f"s3://{BUCKET}/photos")
    found = folder.photo(b"red/0.jpg")
    assert folder.read_photo(found) == (store.folder / BUCKET / "photos" / "red" / "0.jpg").read_bytes()
    with pytest.raises(ImageError, match="it was removed after the photos were listed"):
        folder.read_photo(found._replace(name=b"red/gone.jpg"))
    with pytest.raises(ImageError, match="it has changed since"):
        folder.read_photo(found._replace(size=found.size + 1))
    with pytest.raises(StorageNotFoundError):
        folder.photo(b"red/gone.jpg")


def test_a_photo_replaced_by_one_of_the_same_size_is_an_image_error(store: StorageServer) -> None:
    path = store.folder / BUCKET / "photos" / "blue" / "0.jpg"
    folder = open_folder(f"s3://{BUCKET}/photos")
    # The server lists fractions of a second, without zeros at their end, and answers with whole seconds.
    for fraction in (0, 1_000_000, 500_000_000, 999_900_000):
        os.utime(path, ns=(10**18, 10**18 + fraction))
        found = folder.photo(b"blue/0.jpg")
        [listed] = [photo for photo in folder.photos() if photo.name == found.name]
        assert folder.read_photo(found) == folder.read_photo(listed) == path.read_bytes()
    os.utime(path, ns=(10**18, 10**18 + 5 * 10**9))
    with pytest.raises(ImageError, match="received another time of change: it has changed since"):
        folder.read_photo(listed)


def test_a_file_is_no_folder_of_photos(store: StorageServer) -> None:
    with pytest.raises(DatasetError, match=r"expected a folder of photos, found a file\. Copy a list to this machine"):
        list(open_folder(f"s3://{BUCKET}/photos/red/0.jpg").photos())
    with pytest.raises(StorageNotFoundError):
        list(open_folder(f"s3://{BUCKET}/gone").photos())
    with pytest.raises(StorageNotFoundError, match="Empty path component"):
        open_folder(f"s3://{BUCKET}/photos").photo(b"red//0.jpg")


def test_a_request_to_google_that_gets_no_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert object_stores._RETRY_SECONDS == 60
    monkeypatch.setattr(object_stores, "_RETRY_SECONDS", 1.0)
    closed = f"127.0.0.1:{free_port()}"
    monkeypatch.setattr(
        pyarrow.fs,
        "GcsFileSystem",
        functools.partial(pyarrow.fs.GcsFileSystem, anonymous=True, endpoint_override=closed, scheme="http"),
    )
    object_stores._google.cache_clear()
    try:
        with pytest.raises(StorageUnreachableError, match="Check the network"):
            list(open_folder("gs://bucket/photos").photos())
    finally:
        object_stores._google.cache_clear()


def test_a_list_may_name_addresses(store: StorageServer, run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"s3://{BUCKET}/photos/red/0.jpg\tred\ns3://{BUCKET}/photos/blue/1.jpg\tblue\n")
    assert run(source=tmp_path / "list.txt").photos == 2
    assert [row["label"] for row in rows_of(tmp_path / "out")] == ["blue", "red"]


class Busy(BaseHTTPRequestHandler):
    """A server that is overloaded."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_busy_server_is_tried_again_and_then_an_image_error(
    store: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Busy, "requests", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    object_stores._s3.cache_clear()
    try:
        folder = StoreFolder(f"s3://{BUCKET}/photos")
        with pytest.raises(ImageError, match="expected a readable file"):
            folder.read_photo(File(b"red/0.jpg", 10, "1"))
        assert Busy.requests >= 2
        with pytest.raises(StorageError):
            list(folder.photos())
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3:///photos", "s3://bucket//photos", "s3://bucket/photos//red", "s3://key:secret@bucket/photos"],
)
def test_addresses_without_a_bucket_or_with_credentials_are_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="expected an address such as s3://BUCKET/FOLDER") as refused:
        list(open_folder(address).photos())
    assert "secret" not in refused.value.message

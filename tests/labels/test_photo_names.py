"""Files of photos by the addresses in exports."""

from pathlib import Path

import pytest

from model.labels.photo_names import PhotoFiles, possible_names, source_of, stored_name, without_signature


def files(folder: Path, *names: str) -> PhotoFiles:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return PhotoFiles(folder)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/1/0a1b2c3d-a_b_1.jpg", "a b (1).jpg"),
        ("/data/upload/1/0a1b2c3d-a_b_1.jpg", "0a1b2c3d-a_b_1.jpg"),
        ("/data/upload/1/0a1b2c3d-%C3%A9t%C3%A9.jpg", "été.jpg"),
        ("/data/local-files/?d=photos/photo%20one.jpg", "photos/photo one.jpg"),
        ("http://localhost:8080/data/local-files/?d=photos/photo%20one.jpg", "photo one.jpg"),
        ("s3://bucket/site a/a b.jpg", "site a/a b.jpg"),
        ("s3://bucket/site a/a b.jpg", "a b.jpg"),
        ("s3://bucket/photo #1.jpg", "photo #1.jpg"),
        ("gs://bucket/site/a?b.jpg", "a?b.jpg"),
        ("azure-blob://container/a%20b.jpg", "a%20b.jpg"),
        ("azure-blob://container/a%20b.jpg", "a b.jpg"),
        ("/tasks/5/resolve/?fileuri=czM6Ly9idWNrZXQvYSBiLmpwZw==", "a b.jpg"),
        ("https://example.org/photos/a%20b.jpg?signature=x", "a b.jpg"),
        ("photos\\site\\a.jpg", "a.jpg"),
        ("100%25.jpg", "100%.jpg"),
        ("100%.jpg", "100%.jpg"),
        ("A.JPG", "a.jpg"),
    ],
)
def test_an_address_finds_its_file(tmp_path: Path, address: str, name: str) -> None:
    assert files(tmp_path, name, "other.jpg").find(address) == (name,)


def test_two_uploads_of_one_stored_name_are_both_found(tmp_path: Path) -> None:
    photos = files(tmp_path / "names", "a b.jpg", "a_b.jpg")
    assert photos.find("/data/upload/1/0a1b2c3d-a_b.jpg") == ("a b.jpg", "a_b.jpg")
    assert photos.find("/data/upload/1/a_b.jpg") == ("a b.jpg", "a_b.jpg")
    assert photos.find("s3://bucket/a_b.jpg") == ("a_b.jpg",)
    stored = files(tmp_path / "stored", "a b.jpg", "a_b.jpg", "0a1b2c3d-a_b.jpg")
    assert stored.find("/data/upload/1/0a1b2c3d-a_b.jpg") == ("0a1b2c3d-a_b.jpg",)
    both = files(tmp_path / "both", "a (b).jpg", "a [b].jpg")
    assert both.find("/data/upload/1/0a1b2c3d-a_b.jpg") == ("a (b).jpg", "a [b].jpg")


def test_hidden_files_and_other_names_are_not_found(tmp_path: Path) -> None:
    photos = files(tmp_path, ".hidden/a.jpg", "b.jpg")
    assert photos.find("/data/upload/1/0a1b2c3d-a.jpg") == ()
    assert photos.find("s3://bucket/") == ()


def test_the_longest_common_path_decides(tmp_path: Path) -> None:
    photos = files(tmp_path, "site1/a.jpg", "site2/a.jpg")
    assert photos.find("/data/local-files/?d=mnt/site2/a.jpg") == ("site2/a.jpg",)
    assert photos.find("/data/local-files/?d=mnt/site3/a.jpg") == ("site1/a.jpg", "site2/a.jpg")


def test_stored_names_are_those_of_label_studio() -> None:
    # As Label Studio 1.23.2 stored these uploads.
    assert stored_name("a b (1).jpg") == "a_b_1.jpg"
    assert stored_name("é x.png") == "é_x.png"


def test_an_object_in_an_address_of_label_studio_is_its_source() -> None:
    assert source_of("/tasks/5/resolve/?fileuri=czM6Ly9idWNrZXQvYSBiLmpwZw") == "s3://bucket/a b.jpg"
    assert source_of("/tasks/5/resolve/?fileuri=%%%") == "/tasks/5/resolve/?fileuri=%%%"
    assert possible_names("s3://bucket/a%20b.jpg") == ["a%20b.jpg", "a b.jpg"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            "https://b.s3.org/a b.png?versionId=3&X-Amz-Signature=secret&X-Amz-Date=1",
            "https://b.s3.org/a b.png?versionId=3",
        ),
        ("https://host/photo?id=5&token=secret", "https://host/photo?id=5"),
        ("https://host/photo?Access_Token=secret&id=6&sp=1#top", "https://host/photo?id=6"),
        ("https://storage.org/a.png?X-Goog-Signature=secret", "https://storage.org/a.png"),
        ("https://x.blob.org/a.png?sv=2020&sig=secret%3D", "https://x.blob.org/a.png"),
        ("https://d.cloudfront.net/a.png?Expires=1&Signature=secret&Key-Pair-Id=2", "https://d.cloudfront.net/a.png"),
        ("https://user:secret@host/a.png", "https://...@host/a.png"),
        ("https://host/photo?id=5", "https://host/photo?id=5"),
        ("http://host/data/local-files/?d=photos/a.png", "http://host/data/local-files/?d=photos/a.png"),
        ("/tasks/1/resolve/?fileuri=czM6Ly9h", "/tasks/1/resolve/?fileuri=czM6Ly9h"),
        ("s3://bucket/a?signature=b.png", "s3://bucket/a?signature=b.png"),
        ("photos/a#1?.png", "photos/a#1?.png"),
    ],
)
def test_a_signature_is_left_out_of_an_address(address: str, shown: str) -> None:
    assert without_signature(address) == shown

"""Links as people copy them: the file behind them is downloaded, and a page in place of it is named."""

from pathlib import Path

import pytest

from model.errors import FetchError, StorageDamagedError
from model.storage.download import download
from model.storage.links import download_url
from tests.support.http_server import Answer, serving

DRIVE = "https://drive.usercontent.google.com/download?id=1AbC-d_9&export=download&confirm=t"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://h/s/AbCdEf123", "https://h/s/AbCdEf123/download"),
        ("https://h/s/AbCdEf123/", "https://h/s/AbCdEf123/download"),
        ("https://h/s/AbCdEf123#", "https://h/s/AbCdEf123/download"),
        ("https://h/index.php/s/AbCdEf123", "https://h/index.php/s/AbCdEf123/download"),
        ("https://h/cloud/s/AbCdEf123", "https://h/cloud/s/AbCdEf123/download"),
        ("https://h/cloud/index.php/s/AbCdEf123", "https://h/cloud/index.php/s/AbCdEf123/download"),
        ("http://127.0.0.1:8080/s/AbC", "http://127.0.0.1:8080/s/AbC/download"),
        ("https://h/s/AbC/authenticate/showshare", "https://h/s/AbC/download"),
        ("https://h/s/AbC?path=%2Fa%20b", "https://h/s/AbC/download?path=%2Fa+b"),
        ("https://h/s/AbC?dir=/a&openfile=true", "https://h/s/AbC/download?path=%2Fa"),
        ("https://h/s/AbC?path=/&files=x.tar.xz", "https://h/s/AbC/download?files=x.tar.xz"),
        ("https://h/s/AbC?dir=/", "https://h/s/AbC/download"),
        ("https://drive.google.com/file/d/1AbC-d_9/view?usp=sharing", DRIVE),
        ("https://drive.google.com/open?id=1AbC-d_9", DRIVE),
        ("https://drive.google.com/uc?export=download&id=1AbC-d_9", DRIVE),
        ("https://www.dropbox.com/s/x1/a.tar.xz?dl=0", "https://www.dropbox.com/s/x1/a.tar.xz?dl=1"),
        (
            "https://www.dropbox.com/scl/fi/x1/a.zip?rlkey=k&dl=0",
            "https://www.dropbox.com/scl/fi/x1/a.zip?rlkey=k&dl=1",
        ),
        ("https://o-my.sharepoint.com/:u:/g/p/x?e=4", "https://o-my.sharepoint.com/:u:/g/p/x?e=4&download=1"),
        ("https://github.com/a/b/blob/main/m.tar.xz", "https://github.com/a/b/raw/main/m.tar.xz"),
        ("https://gitlab.com/a/b/-/blob/main/m.zip", "https://gitlab.com/a/b/-/raw/main/m.zip"),
        ("https://huggingface.co/a/b/blob/main/m.zip", "https://huggingface.co/a/b/resolve/main/m.zip"),
        ("https://zenodo.org/records/12/files/m.zip", "https://zenodo.org/records/12/files/m.zip?download=1"),
    ],
)
def test_a_link_to_a_page_becomes_that_of_its_file(link: str, expected: str) -> None:
    assert download_url(link) == expected
    assert download_url(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://h/s/AbC/download",
        "https://h/s/AbC/download/pets.tar.xz",
        "https://h/s/AbC/download?path=/a",
        "https://h/public.php/dav/files/AbC/",
        "https://h/models/s/pets.tar.xz",
        "https://h/models/pets.tar.xz?token=/s/AbC",
        "https://example.org/x.zip#part",
        "https://www.dropbox.com/help",
    ],
)
def test_other_urls_stay_as_they_are(url: str) -> None:
    assert download_url(url) == url


PAGES = {
    "a preview": ({"/m": Answer(200, PAGE, kind="text/html; charset=utf-8")}, "a web page of 127.0.0.1"),
    "a page without a type": ({"/m": Answer(200, b"\xef\xbb\xbf\n<HTML lang=en>")}, "a web page of 127.0.0.1"),
    "a type alone": ({"/m": Answer(200, b"no tags", kind="application/xhtml+xml")}, "a web page of 127.0.0.1"),
    "a login": (
        {"/m": Answer(302, location="/login?redirect_url=/f/12"), "/login?redirect_url=/f/12": Answer(200, PAGE)},
        "login page.*create a public link",
    ),
    "a password": (
        {"/m": Answer(303, location="/s/AbC/authenticate/download"), "/s/AbC/authenticate/download": Answer(200, PAGE)},
        "asks for a password.*download the file there",
    ),
}


@pytest.mark.parametrize(("answers", "message"), PAGES.values(), ids=PAGES)
@pytest.mark.parametrize(("sha256", "kind"), [("", FetchError), ("0" * 64, StorageDamagedError)], ids=["", "sha256"])
def test_a_page_in_place_of_a_file_is_named(
    answers: dict[str, Answer], message: str, sha256: str, kind: type[Exception], tmp_path: Path
) -> None:
    with serving(answers) as server, pytest.raises(kind, match=message):
        download(f"{server.address}/m", tmp_path / "m", sha256)


def test_the_page_of_a_public_link_with_a_password_is_named(tmp_path: Path) -> None:
    asked = {"/s/AbC/download": Answer(200, b"<html><form><input type='password'></form></html>", kind="text/html")}
    with serving(asked) as server, pytest.raises(FetchError, match="asks for a password"):
        download(f"{server.address}/s/AbC", tmp_path / "m")

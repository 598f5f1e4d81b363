"""Names of classes and files: accepted, refused, and made possible."""

import unicodedata

import pytest

from model.curation.names import checked_class_name, class_of_path, file_name, free_name, usable_class_name
from model.errors import DatasetError

REFUSED = (
    *("", " ", ".", "..", "../x", "a/b", "a\\b", "/etc", "<script>", 'a"b', "a:b", "a|b", "a*", "a?"),
    *("x" * 121, "é" * 61, "a\nb", "a\x00b", "a\x7fb", "\ud800", ".hidden", "ends.", "Thumbs.db", "@eaDir"),
    *("CON", "con", "nul.txt", "Lpt1", "COM¹", "aux"),
    *("a\u202eb", "a\u200bb", "\ufeffa", "\u2066a", "a\u00adb"),
    *("train", "Validation", "test", "images", "dataset_files", "masks"),
)


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_folder_of_a_class_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="Choose another name"):
        checked_class_name(name)


@pytest.mark.parametrize(
    "name", ["oak", "Quercus robur", "été", "桜", "a-b_c.d", "2", "\u0645\u06cc\u200c\u062e", "console", "🐟"]
)
def test_a_name_of_any_script_is_accepted(name: str) -> None:
    assert checked_class_name(f" {name} ") == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("other", ["Oak", "OAK", "\uff4f\uff41\uff4b", "oak"])
def test_a_name_that_looks_like_an_existing_one_is_refused(other: str) -> None:
    with pytest.raises(DatasetError, match="'oak' already"):
        checked_class_name(other, ["oak"])


def test_composed_and_decomposed_letters_are_one_name() -> None:
    assert checked_class_name("e\u0301te\u0301") == "été"
    with pytest.raises(DatasetError, match="already"):
        checked_class_name("e\u0301te\u0301", ["été"])


@pytest.mark.parametrize(
    ("received", "stored"),
    [
        ("a/b/leaf.jpg", "leaf.jpg"),
        ("..\\..\\leaf.jpg", "leaf.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..", "photo"),
        ("", "photo"),
        (".jpg", "jpg"),
        ("con.jpg", "con_.jpg"),
        ('<a">.png', "_a__.png"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("Thumbs.db", "photo_Thumbs.db"),
        ("x" * 300 + ".jpg", "x" * 120 + ".jpg"),
        ("é" * 100 + ".jpg", "é" * 60 + ".jpg"),
    ],
)
def test_a_received_name_never_is_a_path(received: str, stored: str) -> None:
    assert file_name(received) == stored


def test_a_taken_name_gets_the_next_free_number() -> None:
    assert free_name("a.jpg", set()) == "a.jpg"
    assert free_name("A.jpg", {"a.jpg"}) == "A (2).jpg"
    assert free_name("a.jpg", {"a.jpg", "a (2).jpg"}) == "a (3).jpg"
    assert free_name("a (2).jpg", {"a (2).jpg"}) == "a (3).jpg"
    assert free_name("a", {"a"}) == "a (2)"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("1.jpg", ""),
        ("oak/1.jpg", "oak"),
        ("leaves/train/oak/1.jpg", "oak"),
        ("leaves/oak/images/1.jpg", "oak"),
        ("photos/1.jpg", ""),
        ("oak\\1.jpg", "oak"),
    ],
)
def test_the_innermost_folder_that_describes_a_class_is_the_class(path: str, name: str) -> None:
    assert class_of_path(path) == name


def test_a_folder_name_from_elsewhere_is_an_existing_class_or_made_possible() -> None:
    assert usable_class_name("OAK", ["oak"]) == "oak"
    assert usable_class_name("a:b", []) == "a_b"
    with pytest.raises(DatasetError):
        usable_class_name("..", [])

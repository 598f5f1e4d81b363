"""Forms and encodings of list files: read where only one meaning is possible, otherwise reported with file and line."""

from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from model.errors import DatasetError
from tests.support.photos import encoded, random_image

IMAGE = encoded(random_image(1))
FILES = ("forest/0.jpg", "forest/1 b.jpg", "deep sea/0.jpg", "deep sea/1.jpg")
EXPECTED = [("forest/0.jpg", 0), ("forest/1 b.jpg", 0), ("deep sea/0.jpg", 1), ("deep sea/1.jpg", 1)]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Images of the classes forest and deep sea, and classes.txt, but no train.txt."""
    for name in FILES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(IMAGE)
    (tmp_path / "dataset_files").mkdir()
    (tmp_path / "dataset_files" / "classes.txt").write_text("forest\ndeep sea\n")
    return tmp_path


def write_train(dataset: Path, form: str, **encoding: str) -> None:
    """Write train.txt with a line for each image: a format string of its path, label, class and the folder images/."""
    lines = [
        form.format(
            path=name,
            windows=name.replace("/", "\\"),
            label=label,
            images=dataset / "images",
            name=("forest", "deep sea")[label],
        )
        for name, label in EXPECTED
    ]
    (dataset / "dataset_files" / "train.txt").write_text("\n".join(lines), **encoding)


def trained(dataset: Path) -> list[tuple[str, int]]:
    return [(sample.name, sample.label) for sample in find_layout(dataset).splits["train"]]


def refusal(dataset: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        find_layout(dataset)
    return caught.value.message


@pytest.mark.parametrize(
    "form",
    [
        "{path}, {label}",
        "{path} => {label}",
        "{path}->{name}",
        "{path},{label},",
        "{path} {label}.0",
        "{path},{label}.000",
        "{path}\u00a0{label}",
        "images/{path} {label}",
        "images/{path},{name}",
        "file://{images}/{path} {label}",
        "{path},{label}",
        "{path} ,{label}",
        "{path};{label}",
        "{path} | {label}",
        "{path}\t{label}",
        "{path},\t{label}",
        '"{path}" {label}',
        '"{path}","{label}"',
        "'{path}' {label}",
        '"{path}", "{label}"',
        "{windows} {label}",
        '"{windows}";{label}',
        ".\\{windows},{label}",
        "./{path} {label}",
        "{images}/{path} {label}",
        '"{images}/{path}",{label}',
        "{path} {name}",
        "{path},{name}",
        "{path}\t{name}",
        '"{path}","{name}"',
        "{label} {path}",
        "{label},{path}",
        '{label};"{windows}"',
    ],
)
def test_a_form_with_one_meaning_is_read(dataset: Path, form: str) -> None:
    write_train(dataset, form)
    assert trained(dataset) == EXPECTED
    assert find_layout(dataset).warnings == ()


def test_an_absolute_path_through_a_link_to_the_dataset_is_read(dataset: Path) -> None:
    link = dataset.parent / f"{dataset.name}-link"
    link.symlink_to(dataset)
    write_train(dataset, "{images}/{path} {label}")
    assert trained(link) == EXPECTED


def test_absolute_paths_of_a_moved_dataset_are_read_with_a_warning(dataset: Path) -> None:
    write_train(dataset, "/home/me/pets/images/{path} {label}")
    assert trained(dataset) == EXPECTED
    assert (
        "4 absolute paths of the lists, such as '/home/me/pets/images/forest/0.jpg'" in find_layout(dataset).warnings[0]
    )


def test_names_that_contain_separators_and_quotes_are_taken_literally(dataset: Path) -> None:
    odd = ["a,1", 'b"', "'c'", "d\\e.jpg", "f 0", "g,"]
    for name in odd:
        (dataset / "images" / name).write_bytes(IMAGE)
    (dataset / "dataset_files" / "train.txt").write_text("".join(f"{name} {at % 2}\n" for at, name in enumerate(odd)))
    assert trained(dataset) == [(name, at % 2) for at, name in enumerate(odd)]


def test_doubled_quotes_of_spreadsheets_are_read(dataset: Path) -> None:
    (dataset / "images" / 'the "best".jpg').write_bytes(IMAGE)
    (dataset / "dataset_files" / "train.txt").write_text('"the ""best"".jpg",0\nforest/0.jpg,1\n')
    assert trained(dataset) == [('the "best".jpg', 0), ("forest/0.jpg", 1)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/elsewhere/photos/forest/0.jpg 0", "There is 'forest/0.jpg': remove the part before it"),
        ("C:\\photos\\forest\\0.jpg 0", "no such image"),
        ("../images/forest/0.jpg 0", "expected a path inside the images folder, received '../images/forest/0.jpg'"),
        ("..\\..\\secret.jpg 0", "expected a path inside the images folder, received '../../secret.jpg'"),
        ("forest/0.jpg 0.5", "expected `path label` with a whole number or a class name as the label"),
        ("forest/0.jpg Forest", "expected `path label` with a whole number or a class name as the label"),
        ("filename,label", "expected `path label` with a whole number or a class name as the label"),
        (f"{'x' * 300}.jpg 0", "no such image"),
        ("forest/gone.jpg, 0", "no such image"),
    ],
)
def test_a_line_without_a_certain_meaning_is_reported_with_its_number(dataset: Path, line: str, expected: str) -> None:
    write_train(dataset, "{path} {label}")
    train = dataset / "dataset_files" / "train.txt"
    train.write_text(f"{train.read_text()}\n{line}\n")
    message = refusal(dataset)
    assert f"{train}:5: " in message
    assert expected in message
    assert message.count("\n") == 1


def test_labels_counted_from_one_are_one_problem(dataset: Path) -> None:
    lines = [f"{name} {label + 1}" for name, label in EXPECTED]
    (dataset / "dataset_files" / "train.txt").write_text("\n".join(lines[:3]))
    (dataset / "dataset_files" / "test.txt").write_text(lines[3])
    message = refusal(dataset)
    assert "a problem in the dataset" in message
    assert "train.txt:3: expected labels counted from zero, found 1 to 2 and no 0 in all lists" in message
    assert "subtract 1 from every label" in message


def test_a_label_zero_that_is_never_used_is_a_warning(dataset: Path) -> None:
    (dataset / "dataset_files" / "classes.txt").write_text("forest\ndeep sea\nsky\n")
    lines = [f"{name} {label + 1}" for name, label in EXPECTED]
    (dataset / "dataset_files" / "train.txt").write_text("\n".join(lines))
    assert any("no line of the lists has the label 0 (forest)" in warning for warning in find_layout(dataset).warnings)
    (dataset / "dataset_files" / "train.txt").write_text("\n".join(line.replace(" 2", " 1") for line in lines))
    assert any("no line of the lists has the label 0 (forest)" in warning for warning in find_layout(dataset).warnings)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [("0 cat\n1 dog\n", "the number"), ("cat,0\ndog,1\n", "the number"), ('"cat"\n"dog"\n', "the quotation marks")],
)
def test_odd_class_names_are_a_warning(dataset: Path, classes: str, expected: str) -> None:
    write_train(dataset, "{path} {label}")
    (dataset / "dataset_files" / "classes.txt").write_text(classes)
    assert any(expected in warning for warning in find_layout(dataset).warnings)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lists_are_read_in_the_encodings_of_editors(dataset: Path, encoding: str, newline: str) -> None:
    (dataset / "images" / "forest" / "0.jpg").rename(dataset / "images" / "forest" / "été.jpg")
    (dataset / "dataset_files" / "classes.txt").write_text("forêt\ndeep sea\n", encoding=encoding, newline=newline)
    text = "forest/été.jpg 0\nforest/1 b.jpg 0\ndeep sea/0.jpg 1\n"
    (dataset / "dataset_files" / "train.txt").write_text(text, encoding=encoding, newline=newline)
    listing = find_layout(dataset)
    assert listing.classes == ("forêt", "deep sea")
    assert trained(dataset) == [("forest/été.jpg", 0), ("forest/1 b.jpg", 0), ("deep sea/0.jpg", 1)]
    guessed = [warning for warning in listing.warnings if "read as Windows-1252" in warning]
    assert len(guessed) == (2 if encoding in ("cp1252", "latin-1") else 0)
    assert not guessed or "classes.txt:1: not UTF-8, read as Windows-1252: 'forêt'" in guessed[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"cat\ncaf\x81\n", "classes.txt:2: expected UTF-8 text"),
        (b"cat\ndo\0g\n", "classes.txt:2: expected UTF-8 text, received the control character '\\x00'"),
        (b"\xff\xfec\x00a", "classes.txt:1: expected UTF-8 text"),
        (IMAGE, "expected UTF-8 text"),
    ],
)
def test_content_that_is_no_text_is_reported_with_its_line(dataset: Path, content: bytes, expected: str) -> None:
    write_train(dataset, "{path} {label}")
    (dataset / "dataset_files" / "classes.txt").write_bytes(content)
    message = refusal(dataset)
    assert expected in message
    assert "label" not in message


def test_text_beyond_the_first_block_is_checked_too(dataset: Path) -> None:
    write_train(dataset, "{path} {label}")
    train = dataset / "dataset_files" / "train.txt"
    train.write_bytes(train.read_bytes() + b"\n" * (1 << 20) + b"\x81\n")
    assert f"train.txt:{4 + (1 << 20)}: expected UTF-8 text" in refusal(dataset)


def test_a_line_of_separators_is_refused_quickly(dataset: Path) -> None:
    write_train(dataset, "{path} {label}")
    train = dataset / "dataset_files" / "train.txt"
    for line in ("0," * 500_000, ",0" * 4000, "/" * 8000 + " 0", "/a" * 4000 + " 0"):
        train.write_text(f"{line}\n")
        with pytest.raises(DatasetError):
            find_layout(dataset)


@pytest.mark.parametrize("folder", ["", "images/"])
def test_a_path_without_ending_is_the_only_image_of_that_name(dataset: Path, folder: str) -> None:
    train = dataset / "dataset_files" / "train.txt"
    train.write_text("".join(f"{path.removesuffix('.jpg')} {label}\n" for path, label in EXPECTED))
    assert trained(dataset) == EXPECTED
    (dataset / "images" / "forest" / "0.png").write_bytes(IMAGE)
    assert "train.txt:1: no such image" in refusal(dataset)


@pytest.mark.parametrize("header", ["image,label", "filename class", "label;path"])
def test_a_header_of_a_list_is_passed_over_with_a_warning(dataset: Path, header: str) -> None:
    write_train(dataset, "{path},{label}")
    train = dataset / "dataset_files" / "train.txt"
    train.write_text(f"{header}\n{train.read_text()}")
    assert trained(dataset) == EXPECTED
    assert any(f"train.txt:1: the header {header!r} was not read" in text for text in find_layout(dataset).warnings)

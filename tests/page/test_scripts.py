"""Scripts of the page, in Node.js: marks of predictions, and a table equal to that of the service."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from model.files.browsing import has_hidden_part, names_of_hidden_files
from model.page.server import page_files
from model.results import Prediction
from model.serving.table import predictions_table
from model.shown import counted, printable_text
from model.tables import csv_text
from tests.test_shown import FORBIDDEN, HOSTILE, READABLE

STATIC = Path(__file__).parents[2] / "model" / "page" / "static"
PREDICTIONS = [
    Prediction("plain.jpg", ("cat", "dog"), (0.9, 0.1)),
    Prediction("far.jpg", ("cat", "dog"), (0.9, 0.1), True, None, "features", "far"),
    Prediction("between.jpg", ("cat",), (0.5,), uncertain=True, uncertain_explanation="low", second="dog"),
    Prediction("hurt.jpg", error="no image"),
    Prediction("=1+1.jpg", ("'=x", "a;@b"), (0.9, 0.1)),
    Prediction("-5", ("\x1b[31m\\", "\u202e\r\U000e0001"), (0.9, 0.1)),
]
NODE = shutil.which("node") or ""
pytestmark = pytest.mark.skipif(not NODE, reason="Node.js is not installed")


def run(script: str, value: Any, folder: Path = STATIC) -> Any:
    """The result of a script that imports modules of the page from `folder`, and has `value` as `given`."""
    program = f"const given = {json.dumps(value)};\n{script}"
    command = [NODE, "--experimental-default-type=module", "--input-type=module", "-e", program]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_the_leaderboards_of_the_service_are_tables_with_what_is_known_of_their_models() -> None:
    known = {"accuracy": 0.875, "accuracy_interval": [0.739, 0.945], "images": 40, "measured_by": "test"}
    known |= {"training_seconds": 61.4, "megabytes": 13.26, "milliseconds_per_photo": 9.96}
    models = [
        {"name": "damaged", "problem": "no manifest"},
        {"name": "imported", "accuracy": None},
        {"name": "one photo", "accuracy": 1.0, "images": 1, "measured_by": "val"},
        {"name": "best"} | known,
    ]
    boards = [
        {"dataset": "birds, birds 2", "models": ["best", "one photo"]},
        {"dataset": "unknown dataset", "models": ["imported"]},
    ]
    script = """
    import { cellsOf, ranked } from "./leaderboard.js";
    const named = ranked(...given).map(({ dataset, models }) => [dataset, models.map(cellsOf)]);
    console.log(JSON.stringify(named));
    """
    groups = run(script, [boards, models])
    dash = "\N{EN DASH}"
    assert groups == [
        [
            "birds, birds 2",
            [
                ["best", "87.5 %", "74 to 95", "40 test photos", "61", "13.3", "10.0"],
                ["one photo", "100.0 %", dash, "1 validation photo", dash, dash, dash],
            ],
        ],
        ["unknown dataset", [["imported", *[dash] * 6]]],
    ]


@pytest.mark.parametrize(("number", "words"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos")])
def test_things_are_counted_as_by_the_library(number: int, words: str) -> None:
    script = 'import { counted } from "./shown.js"; console.log(JSON.stringify(counted(given, "photo")));'
    assert run(script, number) == words == counted(number, "photo")


def test_damaged_models_are_lines_below_the_tables() -> None:
    given = [{"name": "whole"}, {"name": "hurt", "problem": "no manifest"}]
    script = 'import { damaged } from "./leaderboard.js"; console.log(JSON.stringify(damaged(given)));'
    assert run(script, given) == ["damaged: hurt: no manifest"]


def test_hostile_texts_of_a_model_are_visible_characters_in_the_tables() -> None:
    hostile = "a\u202egpj\u2066\u200b\ufeff\x1b"
    model = {"name": hostile, "images": 3, "measured_by": hostile}
    script = """
    import { cellsOf, damaged, ranked } from "./leaderboard.js";
    const [{ dataset, models }] = ranked(...given);
    console.log(JSON.stringify([dataset, ...cellsOf(models[0]), ...damaged(given[1])]));
    """
    boards = [{"dataset": hostile, "models": [hostile]}]
    dataset, name, *cells = run(script, [boards, [model | {"name": "hurt", "problem": hostile}, model]])
    assert dataset == name == printable_text(hostile) and "\\u202e" in name
    assert cells[-1] == f"damaged: hurt: {printable_text(hostile)}"
    assert not any(FORBIDDEN.search(text) for text in (dataset, name, *cells))


def photos() -> list[dict[str, Any]]:
    """The photos as the page keeps them after their classification."""
    found = []
    for prediction in PREDICTIONS:
        answer = prediction.to_json()
        if prediction.error is not None:
            found.append({"name": prediction.image, "state": "failed", "error": {"message": prediction.error}})
        else:
            found.append({"name": prediction.image, "state": "answered", "answer": answer})
    return found


def test_the_table_of_the_page_equals_that_of_the_service() -> None:
    script = 'import { predictionsTable } from "./table.js"; console.log(JSON.stringify(predictionsTable(given)));'
    header, rows = predictions_table(PREDICTIONS)
    assert run(script, photos()) == csv_text(header, rows)


def test_a_prediction_is_described_with_its_mark() -> None:
    script = (
        'import { describe, mark } from "./card.js";'
        "console.log(JSON.stringify(given.map((photo) => [mark(photo.answer), describe(photo)])));"
    )
    plain, far, between, hurt = run(script, photos()[:4])
    assert plain == ["", "plain.jpg: cat, 90.0 %."]
    assert far[0] == "unknown" and far[1].startswith("far.jpg: unknown. The photo does not resemble any training photo")
    assert between[0] == "uncertain"
    assert between[1].startswith("between.jpg: uncertain, \u2068cat\u2069 or \u2068dog\u2069. The confidence")
    assert hurt == ["", "hurt.jpg: error. no image"]


def test_names_are_shown_as_in_all_other_places() -> None:
    texts = [
        *READABLE.values(),
        *HOSTILE,
        *(f"a{char}b" for char in HOSTILE),
        "a\u200db",
        "\u0642\u200c\u0642",
        "+\u200d+",
    ]
    texts += [
        first + second for first in READABLE.values() for second in ("\u200d", "\ufe0f", "\ufe0f\ufe0f", "\U000e0067")
    ]
    script = 'import { printable } from "./shown.js"; console.log(JSON.stringify(given.map(printable)));'
    assert run(script, texts) == [printable_text(text) for text in texts]


def test_a_hostile_name_is_described_in_visible_characters() -> None:
    hostile = "a\u202egpj\u2066\u200b\ufeff\x1b"
    answer = {"labels": [hostile, hostile], "probabilities": [0.9, 0.1], "warning": hostile}
    marks = ({}, {"unknown": True}, {"uncertain": True}, {"uncertain": True, "second": hostile})
    given = [{"name": hostile, "answer": answer | mark} for mark in marks] + [{"name": hostile, "message": hostile}]
    script = (
        'import { describe } from "./card.js"; import { ServiceError } from "./service.js";'
        "const failed = ({ name, message }) => ({ name, error: new ServiceError(message) });"
        "console.log(JSON.stringify(given.map((photo) => describe(photo.message ? failed(photo) : photo))));"
    )
    for text in run(script, given):
        assert "\\u202e" in text and not FORBIDDEN.search(re.sub("\u2068([^\u2068\u2069]*)\u2069", r"\1", text))


def test_the_page_takes_the_files_of_a_folder_that_the_service_takes(tmp_path: Path) -> None:
    for name, content in page_files().items():
        (tmp_path / name).write_bytes(content)
    hidden = [name for names in names_of_hidden_files().values() for name in names]
    others = ["recycler", "photos", "thumbs", "a.b", "My @eaDir", "@eaDirs", "ICON"]
    parts = [*hidden, *(name.upper() for name in hidden), ".git", "._1.jpg", *others]
    paths = [path for part in parts for path in (f"{part}/1.jpg", f"a/{part}", f"a/{part}/b/1.jpg")]
    script = (
        'import { isHidden } from "./files.js";'
        "console.log(JSON.stringify(given.map((path) => isHidden(`chosen/${path}`))));"
    )
    assert run(script, paths, tmp_path) == [has_hidden_part(path) for path in paths]


def test_a_folder_that_is_chosen_is_read_whatever_its_name(tmp_path: Path) -> None:
    for name, content in page_files().items():
        (tmp_path / name).write_bytes(content)
    script = (
        'import { photosOfInput } from "./files.js";'
        "const files = given.map((path) => ({"
        '  name: path.split("/").at(-1), webkitRelativePath: path, type: path.endsWith("db") ? "" : "image/jpeg" }));'
        "console.log(JSON.stringify(photosOfInput({ files }).map((photo) => photo.name)));"
    )
    paths = [
        ".new/10.jpg",
        ".new/2.jpg",
        ".new/@eaDir/2.jpg",
        ".new/Thumbs.db",
        ".new/#recycle/x/3.jpg",
        ".new/b/4.jpg",
    ]
    assert run(script, paths, tmp_path) == [".new/2.jpg", ".new/10.jpg", ".new/b/4.jpg"]

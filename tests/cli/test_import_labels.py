"""`topgraft import-labels` as its users run it."""

import json
from pathlib import Path

from tests.labels.label_studio_tasks import annotation, box_item, boxed_tasks
from tests.support.command import Run


def write_export(folder: Path, count: int = 12) -> Path:
    folder.mkdir()
    export = folder / "export.json"
    export.write_text(json.dumps(boxed_tasks(folder / "photos", count)), encoding="utf-8")
    return export


def test_the_imported_dataset_is_ready_to_train(run: Run, workspace: Path) -> None:
    export = write_export(workspace / "labelled")
    made = run("import-labels", export, "data/animals")
    assert made.returncode == 0, made.stderr
    assert "cat: 4 train, 1 val, 1 test" in made.stdout
    checked = run("check", "animals", "--json")
    assert checked.returncode == 0, checked.stdout
    again = run("import-labels", export, "data/animals", "--json")
    result = json.loads(again.stdout)
    assert (result["changed"], result["unchanged"], result["images"]["train"]) == (False, 12, {"cat": 4, "dog": 4})


def test_the_answer_states_what_was_left_out(run: Run, workspace: Path) -> None:
    export = write_export(workspace / "labelled")
    tasks = json.loads(export.read_text())
    tasks[0]["annotations"].append(annotation(box_item("dog"), name=2, by=2))
    tasks[1]["annotations"][0]["was_cancelled"] = True
    tasks[2]["annotations"][0]["result"] = [box_item(width=1)]
    export.write_text(json.dumps(tasks))
    made = run("import-labels", export, "made", "--images", "labelled/photos")
    assert made.returncode == 0, made.stderr
    assert "images of 11 annotated photos of 12" in made.stdout
    assert "1 labels or photos gave no image: rejected.csv" in made.stdout
    assert "not read: 1 cancelled annotations" in made.stdout
    assert "2 annotators: 1 objects labelled differently, 1 of them left out" in made.stdout
    assert made.stdout.endswith("then: topgraft train --dataset made\n")
    for one in tasks:
        for entry in one["annotations"]:
            del entry["completed_by"]
    export.write_text(json.dumps(tasks))
    unnamed = run("import-labels", export, "made", "--images", "labelled/photos")
    assert "annotators without a name: 1 objects labelled differently, 1 of them left out" in unnamed.stdout


def test_a_source_that_cannot_be_read_is_exit_status_3(run: Run, workspace: Path) -> None:
    (workspace / "labels.csv").write_text("image,label\na.png,cat\n")
    failed = run("import-labels", "labels.csv", "made")
    assert failed.returncode == 3
    assert "received a CSV table, which lacks what the crops need. Export JSON" in failed.stderr
    assert run("import-labels", "missing.json", "made").returncode == 2
    assert not (workspace / "made").exists()


def test_train_says_how_to_import_an_export(run: Run, workspace: Path) -> None:
    export = write_export(workspace / "labelled")
    for command in (("train", "--dataset", export), ("check", export)):
        failed = run(*command)
        assert failed.returncode == 3
        assert f"an export of Label Studio. Make a dataset of it: topgraft import-labels {export} DIR" in failed.stderr

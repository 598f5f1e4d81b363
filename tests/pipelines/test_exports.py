"""The exported files that are committed are those of pipeline.yaml."""

from pathlib import Path

import pytest

from model.pipelines.exports import FORMS, export_text, exported_file, is_current
from model.pipelines.pipeline_file import included_pipelines, read_pipeline
from tests.pipelines.small_pipeline import write_pipeline


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", included_pipelines())
def test_committed_exports_are_current(name: str, form: str) -> None:
    pipeline = read_pipeline(included_pipelines()[name])
    assert is_current(exported_file(pipeline, form), export_text(pipeline, form)), (
        f"run: topgraft pipeline export {name} --to {form}"
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_export_depends_on_the_content_of_the_pipeline_only(tmp_path: Path, form: str) -> None:
    steps = [{"name": "one", "outputs": ["a.tar"]}, {"name": "two", "inputs": ["a.tar"]}]
    first, second = write_pipeline(tmp_path / "x", steps), write_pipeline(tmp_path / "y", steps)
    assert export_text(first, form) == export_text(second, form)
    changed = write_pipeline(tmp_path / "z", [{**steps[0], "memory": 7}, steps[1]])
    assert export_text(changed, form) != export_text(first, form)


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_or_missing_file_is_not_current(tmp_path: Path, form: str) -> None:
    pipeline = write_pipeline(tmp_path, [{"name": "one"}])
    path, text = exported_file(pipeline, form), export_text(pipeline, form)
    assert not is_current(path, text)
    path.write_text(text)
    assert is_current(path, text)
    path.write_text(text.replace("one", "two"))
    assert not is_current(path, text)

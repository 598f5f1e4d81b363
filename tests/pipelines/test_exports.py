"""The exported files that are committed are those of pipeline.yaml."""

from pathlib import Path

import pytest

from model.errors import ConfigError
from model.pipelines.exports import FORMS, check_own, export_text, exported_file, is_current
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


@pytest.mark.parametrize("form", FORMS)
def test_only_exports_are_replaced(tmp_path: Path, form: str) -> None:
    pipeline = write_pipeline(tmp_path, [{"name": "one"}], description="Eine Pipeline für Prüfungen.")
    path = tmp_path / "exported"
    for content in (None, "", export_text(pipeline, form)):
        if content is not None:
            path.write_text(content)
        check_own(path, form)
    other = next(one for one in FORMS if one != form)
    for content in ("name: mine\n", export_text(pipeline, other)):
        path.write_text(content)
        with pytest.raises(ConfigError, match="found another one"):
            check_own(path, form)

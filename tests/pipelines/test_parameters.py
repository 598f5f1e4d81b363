"""Parameters of pipelines: their sources, types, and files."""

from pathlib import Path

import pytest

from model.errors import ConfigError
from model.pipelines.notebooks import parameters_of
from model.pipelines.parameters import check_notebooks, located_values, parameter_values
from model.pipelines.pipeline_file import find_pipeline, read_pipeline
from model.pipelines.steps import Pipeline
from tests.support.notebooks import write_notebook, write_pipeline_file

ROWS = (
    "epochs: {type: Integer, default: 10}",
    "rate: {type: Float, default: 0.5}",
    "fill: {type: Bool, default: false}",
    "photos: {type: String, default: data/photos}",
)
STEP = "name: a, notebook: a.ipynb, parameters: [epochs, rate, fill, photos], reads: [photos]"


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline of one step with a parameter of each type."""
    for name in ("epochs", "rate", "fill", "photos"):
        monkeypatch.delenv(name, raising=False)
    write_notebook(tmp_path / "a.ipynb", "epochs = 10\nrate = 0.5\nfill: bool = False\nphotos = ''")
    return read_pipeline(write_pipeline_file(tmp_path, ROWS, [STEP]))


def test_a_given_value_comes_before_the_environment_and_that_before_the_default(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("epochs", "4")
    monkeypatch.setenv("rate", "2")
    monkeypatch.setenv("fill", " ")
    values = parameter_values(pipeline, {"epochs": "3"})
    assert (values["epochs"].value, values["epochs"].source) == (3, "command line")
    assert (values["rate"].value, values["rate"].source) == (2.0, "environment")
    assert (values["fill"].value, values["fill"].source) == (False, "default")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("epochs", "3.0", "-p epochs: expected a whole number (Integer), received '3.0'."),
        ("epochs", "", "expected a whole number"),
        ("epochs", "9" * 4000, "expected a whole number"),
        ("rate", "nan", "-p rate: expected a number (Float), received 'nan'."),
        ("fill", "yes", "-p fill: expected true or false (Bool), received 'yes'."),
        ("epoch", "3", "-p epoch: expected one of the parameters epochs, rate, fill, photos. Did you mean: epochs?"),
    ],
)
def test_a_value_or_name_that_cannot_be_used_is_refused(
    pipeline: Pipeline, name: str, text: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parameter_values(pipeline, {name: text})
    assert expected in raised.value.message


def test_a_wrong_environment_variable_is_named(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("epochs", "many")
    with pytest.raises(ConfigError, match="environment variable epochs: expected a whole number"):
        parameter_values(pipeline, {})


def test_a_required_parameter_without_a_value_is_named(tmp_path: Path) -> None:
    write_notebook(tmp_path / "a.ipynb", "n = 1")
    file = write_pipeline_file(tmp_path, ["n: {type: Integer}"], ["name: a, notebook: a.ipynb, parameters: [n]"])
    with pytest.raises(ConfigError, match=r"n: expected a value, found none\. Give it with -p n=VALUE"):
        parameter_values(read_pipeline(file), {})


def test_defaults_are_relative_to_the_workspace_and_given_paths_to_the_current_folder(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "work"
    (root / "data" / "photos").mkdir(parents=True)
    (tmp_path / "other photos").mkdir()
    monkeypatch.chdir(tmp_path)

    def located(**given: str) -> object:
        return located_values(pipeline.steps, parameter_values(pipeline, given), root)["a"]["photos"]

    assert located() == str(root / "data" / "photos")
    assert located(photos="other photos") == str(tmp_path / "other photos")
    assert located(photos="s3:bucket/photos") == "s3:bucket/photos"
    with pytest.raises(ConfigError, match=r"photos: expected a file or folder for the step a, found none: .*gone"):
        located(photos="gone")
    with pytest.raises(ConfigError, match=r"photos: expected remote:path"):
        located(photos=":s3,secret_access_key=X:b")


def test_a_notebook_without_a_parameter_of_its_step_is_refused(pipeline: Pipeline) -> None:
    check_notebooks(pipeline)
    notebook = pipeline.notebook(pipeline.steps[0])
    write_notebook(notebook, "epochs, rate = 10, 0.5")
    with pytest.raises(ConfigError, match=r"a.ipynb: expected a cell .* that assigns fill, photos"):
        check_notebooks(pipeline)
    notebook.write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected a notebook of Jupyter"):
        check_notebooks(pipeline)


def test_the_notebooks_of_traffic_signs_have_exactly_the_parameters_of_their_steps() -> None:
    pipeline = read_pipeline(find_pipeline("traffic-signs"))
    check_notebooks(pipeline)
    assert [parameters_of(pipeline.notebook(step)) for step in pipeline.steps] == [
        set(step.parameters) for step in pipeline.steps
    ]


def test_the_notebooks_have_the_defaults_of_the_pipeline_and_read_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = read_pipeline(find_pipeline("traffic-signs"))
    for step in pipeline.steps:
        source = pipeline.notebook(step).with_suffix(".py").read_text(encoding="utf-8")
        cell = source.partition('tags=["parameters"]\n')[2].partition("# %%")[0]
        for name in step.parameters:
            monkeypatch.delenv(name, raising=False)
        names: dict[str, object] = {}
        exec(cell, names)
        for name in step.parameters:
            parameter = pipeline.parameter(name)
            assert names[name] == parameter.default, (step.name, name)
            # Elyra passes a blank for an empty text.
            monkeypatch.setenv(name, "7 ")
        exec(cell, names)
        for name in step.parameters:
            assert names[name] == (7 if pipeline.parameter(name).type == "Integer" else "7")

"""pipeline.yaml: what is read, and how each mistake is reported with its line."""

from pathlib import Path

import pytest

from model.errors import ConfigError
from model.pipelines import pipeline_file
from model.pipelines.pipeline_file import find_pipeline, included_pipelines, read_pipeline
from model.pipelines.steps import Secret, Toleration
from tests.support.notebooks import write_notebook, write_pipeline_file

PARAMETERS = ("epochs: {type: Integer, default: 10}", "photos: {type: String}")
SECOND = "name: b, notebook: second.ipynb"
FIRST = "name: first, notebook: first.ipynb, outputs: [a.tar]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two notebooks."""
    for name in ("first", "second"):
        write_notebook(tmp_path / f"{name}.ipynb", "epochs = 1")
    return tmp_path


def problems(folder: Path, *steps: str, parameters: tuple[str, ...] = PARAMETERS) -> list[str]:
    """The problems of a pipeline, without the path of its file."""
    file = write_pipeline_file(folder, parameters, steps)
    with pytest.raises(ConfigError) as raised:
        read_pipeline(file)
    return [line.removeprefix(f"{file}:") for line in raised.value.message.splitlines()]


def test_the_pipeline_of_traffic_signs_has_four_steps_in_a_line() -> None:
    pipeline = read_pipeline(find_pipeline("traffic-signs"))
    names = ["labeling-extraction", "synthetic-data", "transfer-learning", "comparison"]
    assert [step.name for step in pipeline.steps] == names
    assert [[one.name for one in pipeline.links(step)] for step in pipeline.steps] == [
        [],
        *([name] for name in names[:3]),
    ]
    learning = pipeline.steps[2]
    assert learning.gpu == 1 and learning.tolerations == (Toleration("nvidia.com/gpu", "Exists", "NoSchedule"),)
    assert [step.gpu for step in pipeline.steps if step is not learning] == [0, 0, 0]
    assert pipeline.parameter("epochs").default == 10 and pipeline.parameter("epochs").type == "Integer"
    assert Secret("RCLONE_CONFIG_S3_ACCESS_KEY_ID", "s3-connection", "AWS_ACCESS_KEY_ID") in learning.secrets
    assert all(pipeline.notebook(step).is_file() for step in pipeline.steps)


def test_steps_are_put_in_an_order_in_which_they_can_run(folder: Path) -> None:
    file = write_pipeline_file(
        folder,
        PARAMETERS,
        [
            "name: last, notebook: second.ipynb, inputs: [a.tar], after: [other]",
            "name: other, notebook: second.ipynb",
            FIRST,
        ],
    )
    pipeline = read_pipeline(file)
    assert [step.name for step in pipeline.steps] == ["other", "first", "last"]
    assert [step.name for step in pipeline.dependencies(pipeline.steps[2])] == ["other", "first"]


# Keys of the second step, and the problem that they are.
MISTAKES = (
    ("name: Two Words, notebook: second.ipynb", "name: expected at most 63 lowercase letters"),
    ("name: first, notebook: second.ipynb", "step first: another step has this name."),
    ("name: b, notebook: third.ipynb", "step b, notebook: expected a notebook, found no file"),
    ("name: b, notebook: ../first.ipynb", "expected a path inside the working folder"),
    (f"{SECOND}, memroy: 4", "unknown key 'memroy', expected one of name, notebook"),
    (f"{SECOND}, memory: 0.5", "step b, memory: expected a whole number of gigabytes, 1 or more, received '0.5'."),
    (f"{SECOND}, cpu: 0", "step b, cpu: expected a whole number of processors, 1 or more"),
    (f"{SECOND}, gpu: yes", "step b, gpu: expected a whole number of GPUs, 0 or more"),
    (f"{SECOND}, outputs: b.tar", "step b, outputs: expected a list"),
    (f"{SECOND}, outputs: [a.tar]", "the output 'a.tar' is also one of the step first."),
    (f"{SECOND}, outputs: [c/, c/d]", "the output 'c/d' of the step b is inside the output 'c' of the step b."),
    (f"{SECOND}, outputs: [run.json]", "the output 'run.json' has the name of a file that each run writes."),
    (f"{SECOND}, outputs: [notebooks/]", "the output 'notebooks/' has the name of a file that each run writes."),
    (SECOND + ", environment: {AWS_SECRET_ACCESS_KEY: x}", "AWS_SECRET_ACCESS_KEY: expected no credential"),
    (SECOND + ", environment: {RCLONE_CONFIG_DAV_PASS: x}", "RCLONE_CONFIG_DAV_PASS: expected no credential"),
    (f"{SECOND}, outputs: ['*.tar']", "expected a path without ; * ?"),
    (f"{SECOND}, outputs: [/etc/b]", "expected a path inside the working folder"),
    (f"{SECOND}, inputs: [A.tar]", "no step makes the input 'A.tar'; the outputs are a.tar. Did you mean: a.tar?"),
    (f"{SECOND}, after: [frist]", "after: unknown step 'frist'; the steps are first, b. Did you mean: first?"),
    (
        f"{SECOND}, parameters: [epoch]",
        "unknown parameter 'epoch'; the pipeline has epochs, photos. Did you mean: epochs?",
    ),
    (f"{SECOND}, parameters: [epochs], reads: [epochs]", "expected a parameter of the type String"),
    (f"{SECOND}, reads: [photos]", "reads: expected one of the parameters of the step"),
    (
        SECOND + ", tolerations: [{key: a, operator: Exist}]",
        "expected one of Exists, Equal, received 'Exist'. Did you mean: Exists?",
    ),
    (
        SECOND + ", tolerations: [{key: a, effect: noschedule}]",
        "expected one of NoSchedule, PreferNoSchedule, NoExecute",
    ),
    (SECOND + ", tolerations: [{key: a, operator: Equal}]", "expected a value with the operator Equal"),
    (SECOND + ", secrets: [{variable: A, name: s}]", "expected the key key, found none."),
    (SECOND + ", secrets: [{variable: A, name: S S, key: k}]", "expected the name of a Kubernetes secret"),
    (SECOND + ", environment: {A: 1}", "step b, environment, A: expected text, received '1'."),
    ("name: b, name: c, notebook: second.ipynb", "'name' is given twice."),
    ("1: c, name: b, notebook: second.ipynb", "expected a name before the colon, received '1'."),
    ("notebook: second.ipynb", "expected the key name, found none."),
    (f"{SECOND}, inputs: [c.tar], outputs: [c.tar]", "the steps depend on each other in a circle: b needs b."),
)


@pytest.mark.parametrize(("step", "problem"), MISTAKES)
def test_a_mistake_is_reported_with_its_line_and_step(folder: Path, step: str, problem: str) -> None:
    [found] = problems(folder, FIRST, step)
    # Two lines of the head, three of parameters, `steps:` and the first step come before it.
    assert found.startswith("8: ") or "is inside" in found
    assert problem in found


LEARN = "name: learn, notebook: first.ipynb, inputs: [a.tar], outputs: [model.tar, logs/], parameters: [backbone]"
SEARCH = {"step": "learn", "parameter": "backbone", "values": "[A, B]", "model": "model.tar", "dataset": "a.tar"}
SCHEDULE = {"labels": "photos", "schedule": "0 3 * * *"}
SENT = {"parameter": "backbone", "outputs": "[model.tar]"}
MISTAKES_OF_KEYS = (
    ("promotion", {**SEARCH, "step": "lern"}, "promotion, step: expected one of the steps (first, learn)"),
    ("promotion", {**SEARCH, "step": "lern"}, "received 'lern'. Did you mean: learn?"),
    ("promotion", {**SEARCH, "parameter": "epochs"}, "parameter: expected one of the parameters of the step learn"),
    ("promotion", {**SEARCH, "values": "[]"}, "values: expected one value or more, found none."),
    ("promotion", {**SEARCH, "values": "[A, A]"}, "'A' is listed twice."),
    ("promotion", {**SEARCH, "values": "[A/B]"}, "expected letters, digits, '.', '_' and '-', received 'A/B'."),
    ("promotion", {**SEARCH, "values": "[1]"}, "expected text, received '1'."),
    ("promotion", {**SEARCH, "model": "a.tar"}, "model: expected one of the outputs of the step learn (model.tar"),
    ("promotion", {**SEARCH, "dataset": "b.tar"}, "dataset: expected one of the inputs of the step learn (a.tar)"),
    ("promotion", {"step": "learn"}, "promotion: expected the key parameter, found none."),
    ("promotion", {**SEARCH, "best": "A"}, "promotion: unknown key 'best', expected one of step, parameter, values"),
    (
        "retraining",
        {**SCHEDULE, "labels": "photo"},
        "labels: expected one of the parameters (epochs, photos, backbone)",
    ),
    ("retraining", {**SCHEDULE, "images": "epoch"}, "received 'epoch'. Did you mean: epochs?"),
    ("retraining", {**SCHEDULE, "schedule": "0 3 * *"}, "expected five fields of cron, such as 0 3 * * *, or @daily"),
    ("retraining", {**SCHEDULE, "schedule": "'@nightly'"}, "or @daily, received '@nightly'."),
    ("retraining", {**SCHEDULE, "time_zone": "'+01:00'"}, "expected a time zone, such as Europe/Berlin, received"),
    ("retraining", {"labels": "photos"}, "retraining: expected the key schedule, found none."),
    ("delivery", {**SENT, "parameter": "backbon"}, "received 'backbon'. Did you mean: backbone?"),
    ("delivery", {**SENT, "parameter": "epochs"}, "expected a parameter of the type String, received 'epochs'."),
    ("delivery", {**SENT, "outputs": "[b.tar]"}, "expected one of the outputs (a.tar, model.tar, logs/)"),
    ("delivery", {**SENT, "outputs": "[logs/]"}, "expected a file, received the folder 'logs/'."),
    ("delivery", {**SENT, "outputs": "[a.tar]"}, "expected the parameter 'backbone' in the step first, too."),
    ("delivery", {"outputs": "[a.tar]"}, "delivery: expected the key parameter, found none."),
)


def problems_of_key(folder: Path, key: str, values: dict[str, str], *steps: str) -> list[str]:
    """The problems of a pipeline with a key such as `promotion`, and those that it needs."""
    file = write_pipeline_file(folder, (*PARAMETERS, "backbone: {type: String}"), [FIRST, LEARN, *steps])
    keys = {"promotion": SEARCH, key: values} if key == "retraining" else {key: values}
    rows = [f"{name}: {{{', '.join(f'{one}: {text}' for one, text in some.items())}}}" for name, some in keys.items()]
    file.write_text("\n".join([file.read_text(), *rows]))
    with pytest.raises(ConfigError) as raised:
        read_pipeline(file)
    return [line.removeprefix(f"{file}:") for line in raised.value.message.splitlines()]


@pytest.mark.parametrize(("key", "values", "problem"), MISTAKES_OF_KEYS)
def test_a_mistake_in_what_is_done_with_outputs_is_reported_with_its_line(
    folder: Path, key: str, values: dict[str, str], problem: str
) -> None:
    found = problems_of_key(folder, key, values)
    assert any(problem in line for line in found)
    # After 9 lines of steps and a blank one.
    assert {line.partition(":")[0] for line in found} == {"12" if key == "retraining" else "11"}


def test_a_retraining_without_a_promotion_is_refused(folder: Path) -> None:
    file = write_pipeline_file(folder, PARAMETERS, [FIRST])
    file.write_text(f"{file.read_text()}retraining: {{labels: photos, schedule: '@daily'}}\n")
    with pytest.raises(ConfigError, match="retraining: expected the key promotion, too: a retraining promotes its"):
        read_pipeline(file)


def test_outputs_that_would_have_the_same_name_are_refused(folder: Path) -> None:
    other = "name: other, notebook: first.ipynb, outputs: [b/model.tar, c/notebooks], parameters: [backbone]"
    values = {"parameter": "backbone", "outputs": "[model.tar, b/model.tar, c/notebooks]"}
    assert problems_of_key(folder, "delivery", values, other) == [
        "12: delivery, outputs, item 2: expected another file name than that of 'model.tar'.",
        "12: delivery, outputs, item 3: expected another file name than that of the folder of notebooks.",
    ]


def test_a_circle_of_steps_is_named(folder: Path) -> None:
    second = "name: second, notebook: second.ipynb, inputs: [a.tar], outputs: [b.tar]"
    [found] = problems(folder, f"{FIRST}, inputs: [b.tar]", second)
    assert found in (
        "7: the steps depend on each other in a circle: first needs second needs first.",
        "7: the steps depend on each other in a circle: second needs first needs second.",
    )


def test_all_mistakes_are_listed_together_by_line(folder: Path) -> None:
    found = problems(
        folder, "name: b, notebook: x.ipynb, cpu: two", "name: c, colour: red", parameters=("epochs: {type: int}",)
    )
    assert [line.partition(":")[0] for line in found] == ["4", "6", "6", "7", "7"]


@pytest.mark.parametrize(
    "row",
    ["class: {type: Integer}", "a b: {type: Integer}", "n: {type: Integer, default: ten}", "api_token: {type: String}"],
)
def test_a_parameter_that_cannot_be_passed_is_refused(folder: Path, row: str) -> None:
    [found] = problems(folder, FIRST, parameters=(row,))
    assert found.startswith("4: parameter ")


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "AWS_WEB_IDENTITY_TOKEN_FILE", "max_tokens", "RCLONE_CONFIG_S3_ENV_AUTH"]
)
def test_names_that_only_resemble_credentials_are_read(folder: Path, name: str) -> None:
    file = write_pipeline_file(folder, [], [f"{SECOND}, environment: {{{name}: x}}"])
    assert read_pipeline(file).steps[0].environment == ((name, "x"),)


def test_a_whole_number_is_a_default_of_a_float(folder: Path) -> None:
    pipeline = read_pipeline(write_pipeline_file(folder, ["rate: {type: Float, default: 1}"], [FIRST]))
    assert pipeline.parameter("rate").default == 1.0 and isinstance(pipeline.parameter("rate").default, float)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "name: [unclosed\n",
        "name: a\n\tsteps: b\n",
        "a: &a [x, x]\nb: [*a, *a, *a]\n",
        "a: {b: {c: {d: {e: {f: g}}}}}\n",
        "name: !!python/object/apply:os.system [ls]\n",
        "name: a\nsteps: []\n",
        "name: a\nsteps:\n",
        "\xff\xfe".encode("utf-16").decode("latin-1"),
    ],
    ids=["empty", "list", "unclosed", "tab", "aliases", "deep", "object", "no steps", "null steps", "binary"],
)
def test_a_file_that_is_no_pipeline_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read_pipeline(file)
    assert raised.value.message.startswith(str(file))


def test_pipelines_are_found_by_name_folder_and_file(folder: Path) -> None:
    file = write_pipeline_file(folder, PARAMETERS, [FIRST])
    assert find_pipeline(str(folder)) == find_pipeline(str(file)) == file
    assert find_pipeline("traffic-signs") == included_pipelines()["traffic-signs"]
    with pytest.raises(ConfigError, match=r"received 'trafic-signs'\. Did you mean: traffic-signs"):
        find_pipeline("trafic-signs")


def test_an_included_pipeline_is_found_by_the_name_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("signs", ""), ("damaged", "[")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pipeline.yaml").write_text(content)
    write_notebook(tmp_path / "signs" / "first.ipynb", "")
    file = write_pipeline_file(tmp_path / "signs", PARAMETERS, [FIRST])
    monkeypatch.setattr(pipeline_file, "data_folders", lambda name: [tmp_path])
    assert included_pipelines() == {"damaged": tmp_path / "damaged" / "pipeline.yaml", "small": file}
    assert find_pipeline("small") == file

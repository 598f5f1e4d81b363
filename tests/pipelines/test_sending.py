"""Outputs sent to a folder in remote storage: what fails is reported, kept, and sent again without running a step."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.errors import ConfigError, StorageError, StorageFullError, StorageNotFoundError, StorageRefusedError
from model.pipelines.local import PipelineRun, run_pipeline
from model.pipelines.pipeline_file import read_pipeline
from model.process_environment import default_variables
from model.storage import failures, open_storage
from tests.support.notebooks import write_notebook, write_pipeline_file
from tests.support.storage_servers import BUCKET, Fault, FaultyProxy, StorageServer, s3_server

pytest.importorskip("doit", reason="the extra `test` installs doit")
pytest.importorskip("papermill", reason="the extra `test` installs papermill")

STEPS = (
    "name: learn, notebook: learn.ipynb, outputs: [model.tar.xz, results.csv], parameters: [size, destination]",
    "name: compare, notebook: compare.ipynb, inputs: [results.csv], outputs: [pages/comparison.html], "
    "parameters: [destination]",
)
PARAMETERS = ("size: {type: Integer, default: 3}", 'destination: {type: String, default: ""}')
DELIVERY = "delivery: {parameter: destination, outputs: [model.tar.xz, results.csv, pages/comparison.html]}\n"
LEARN = """\
assert destination == ''
open('log', 'a').write('learn ')
open('model.tar.xz', 'w').write('m' * size)
open('results.csv', 'w').write('r')
"""
COMPARE = """\
import os
os.makedirs('pages', exist_ok=True)
open('log', 'a').write('compare ')
open('pages/comparison.html', 'w').write(open('results.csv').read())
"""
FILES = ["comparison.html", "model.tar.xz", "notebooks/compare.ipynb", "notebooks/learn.ipynb", "results.csv"]
RUN = f"s3:{BUCKET}/ann/first run"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A pipeline of two steps whose outputs are sent."""
    write_notebook(tmp_path / "learn.ipynb", "size = 1\ndestination = ''", LEARN)
    write_notebook(tmp_path / "compare.ipynb", "destination = ''", COMPARE)
    path = write_pipeline_file(tmp_path, PARAMETERS, STEPS)
    # As in traffic-signs, the kind of the remote is in the file.
    path.write_text(f"{path.read_text()}{DELIVERY}environment: {{RCLONE_CONFIG_S3_TYPE: s3}}\n")
    return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    """An S3 server, which is the remote `s3:` of this process."""
    monkeypatch.setattr(failures, "SECONDS_BETWEEN_TRIES", (0.01,))
    with s3_server(tmp_path / "s3") as found:
        use(found, monkeypatch)
        yield found


def use(server: StorageServer, monkeypatch: pytest.MonkeyPatch, **changed: str) -> None:
    for name, value in server.environment("s3", **changed).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RCLONE_CONFIG_S3_TYPE")


def run(file: Path, destination: str = RUN, **given: str) -> PipelineRun:
    return run_pipeline(read_pipeline(file), {"destination": destination, **given}, working_folder(file), file.parent)


def working_folder(file: Path) -> Path:
    return file.parent / "run"


def logged(file: Path) -> list[str]:
    """Names of the steps in the order in which they ran."""
    log = working_folder(file) / "log"
    return log.read_text().split() if log.exists() else []


def stored(server: StorageServer) -> list[str]:
    folder = server.folder / BUCKET / "ann" / "first run"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def sent(result: PipelineRun) -> list[list[str]]:
    return [record.sent for record in result.steps]


def run_file(file: Path) -> "dict[str, object]":
    content: dict[str, object] = json.loads((working_folder(file) / "run.json").read_text())
    return content


@pytest.mark.slow  # a server
def test_wrong_keys_and_a_missing_bucket_are_reported_before_a_step_runs(
    file: Path, server: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageNotFoundError, match=r"s3:buckte/ann: expected a bucket 'buckte', found none \(404\)"):
        run(file, "s3:buckte/ann")
    for where in ("s3://bucket/ann", "s3:"):
        with pytest.raises(ConfigError, match=f"expected remote:path, such as s3:bucket/user/run.* '{where}'"):
            run(file, where)
    assert [path.name for path in server.folder.iterdir()] == [BUCKET]
    use(server, monkeypatch, secret_access_key="wrong")
    with pytest.raises(StorageRefusedError, match=r"SignatureDoesNotMatch.*Check the user"):
        run(file)
    assert logged(file) == [] and not (working_folder(file) / "run.json").exists() and stored(server) == []


@pytest.mark.parametrize("name", ["results.csv", "comparison.html", "notebooks/learn.ipynb"])
def test_a_file_of_others_at_the_destination_is_kept_and_the_run_refused(file: Path, name: str) -> None:
    other = file.parent / "copies" / name
    other.parent.mkdir(parents=True)
    other.write_text("of others")
    (file.parent / "copies" / "notes.txt").write_text("not replaced")
    with pytest.raises(ConfigError, match=rf"copies already has {name}, which no run in .*/run has sent.* Move it, or"):
        run(file, str(file.parent / "copies"))
    assert logged(file) == [] and other.read_text() == "of others"


@pytest.mark.slow  # kernels of Jupyter
def test_what_a_killed_run_was_sending_is_sent_again_and_pods_replace_it(file: Path) -> None:
    target = file.parent / "copies"
    run(file, str(target))
    state = working_folder(file) / ".steps" / "sent.json"
    names = json.loads(state.read_text())
    names[str(target)]["results.csv"] = ""
    state.write_text(json.dumps(names))
    (target / "results.csv").write_text("r")
    assert sent(run(file, str(target))) == [["results.csv"], []]
    # A pod that is tried again has no such state.
    state.unlink()
    pipeline, given = read_pipeline(file), {"destination": str(target)}
    with pytest.raises(ConfigError, match="already has comparison"):
        run_pipeline(pipeline, given, working_folder(file), file.parent, start="compare")
    result = run_pipeline(pipeline, given, working_folder(file), file.parent, only="compare")
    assert sent(result) == [[], ["comparison.html", "notebooks/compare.ipynb"]]


@pytest.mark.slow  # a server, kernels of Jupyter
def test_remote_storage_that_is_reached_late_and_has_a_file_of_others_keeps_it(
    file: Path, server: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = server.folder / BUCKET / "ann" / "first run"
    folder.mkdir(parents=True)
    (folder / "results.csv").write_text("of others")
    with FaultyProxy(server) as proxy:
        use(server, monkeypatch, endpoint=proxy.url)
        proxy.faults.append(Fault("GET", "status", status=503, times=4))
        with pytest.raises(StorageError, match=r"already has results\.csv.* The steps are complete"):
            run(file)
    assert stored(server) == ["results.csv"] and (folder / "results.csv").read_text() == "of others"


@pytest.mark.slow  # a server, kernels of Jupyter
def test_remote_storage_that_goes_away_or_is_full_gets_the_rest_by_the_same_command(
    file: Path, server: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyProxy(server) as proxy:
        use(server, monkeypatch, endpoint=proxy.url)
        proxy.faults.append(Fault("PUT", "cut upload", where="results.csv"))
        with pytest.raises(StorageError) as raised:
            run(file)
        kept = f"their outputs are kept in {working_folder(file)}. Run the same command again to send the rest to {RUN}"
        assert kept in raised.value.message
        written = run_file(file)
        assert (written["state"], written["exit_status"], written["destination"]) == ("failed", 5, RUN)
        assert logged(file) == ["learn", "compare"] and stored(server) == ["model.tar.xz"]
        assert (working_folder(file) / "pages" / "comparison.html").read_text() == "r"

        proxy.faults[:] = [Fault("PUT", "status", status=507, where="comparison")]
        with pytest.raises(StorageFullError, match=r"Free some space.* does not repeat the steps"):
            run(file)
        proxy.faults.clear()
        assert sent(result := run(file)) == [[], ["comparison.html", "notebooks/compare.ipynb"]]
        assert [record.state for record in result.steps] == ["unchanged", "unchanged"]
        assert logged(file) == ["learn", "compare"] and stored(server) == FILES

        # What is there is not sent again; what is missing or has changed is.
        proxy.seen.clear()
        assert sent(run(file)) == [[], []] and proxy.count("PUT") == 0
        with default_variables({"RCLONE_CONFIG_S3_TYPE": "s3"}):
            open_storage(RUN).remove("model.tar.xz")
        assert sent(run(file)) == [["model.tar.xz"], []]
        assert sent(run(file, size="4")) == [["model.tar.xz", "notebooks/learn.ipynb"], []]
        assert (server.folder / BUCKET / "ann" / "first run" / "model.tar.xz").read_text() == "mmmm"


@pytest.mark.slow  # a server, kernels of Jupyter
def test_remote_storage_that_cannot_be_reached_does_not_stop_the_steps(
    file: Path, server: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyProxy(server) as proxy:
        use(server, monkeypatch, endpoint=proxy.url)
    with pytest.raises(StorageError, match="The steps are complete"):
        run(file)
    assert logged(file) == ["learn", "compare"] and stored(server) == []
    use(server, monkeypatch)
    assert sent(run(file)) == [FILES[1:2] + FILES[4:] + FILES[3:4], ["comparison.html", "notebooks/compare.ipynb"]]
    # Another destination, also a local one, gets everything, and the steps do not run again.
    target = file.parent / "copies"
    assert sum(map(len, sent(run(file, str(target))))) == len(FILES)
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*.*")) == FILES
    assert logged(file) == ["learn", "compare"]

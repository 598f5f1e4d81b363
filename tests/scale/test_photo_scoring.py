"""Predictions of photos in chunks: the same as by their features, in parts that survive an interruption."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from model.bundle import Bundle, open_bundle
from model.cli.command import main
from model.config import PredictConfig
from model.errors import ConfigError, DatasetError
from model.scale.chunk_run import RunOptions
from model.scale.chunks import read_chunk
from model.scale.featurize import FeaturizeResult
from model.scale.network import model_network
from model.scale.parts import Done, open_parts, part_content, read_rows
from model.scale.photo_scoring import PhotoScorer, score_photos
from model.scale.scoring import FeatureScorer, write_scores
from model.scale.scoring_work import ScoringResult
from model.scale.work import Task, extract_rows
from model.serving.predictor import load_predictor, prediction_rules
from model.workspace import Workspace
from tests.scale.conftest import SPLITS, in_this_process
from tests.scale.test_featurize import bytes_of, rows_of
from tests.support.small_model import NAME, write_small_model

Run = Callable[..., FeaturizeResult]
Score = Callable[..., ScoringResult]
CONFIG = PredictConfig(top_k=2, neighbours=1)


def scorer_of(bundle: Bundle, config: PredictConfig = CONFIG) -> PhotoScorer:
    """The model as it is sent to other processes."""
    return PhotoScorer(model_network(bundle), prediction_rules(bundle), config)


@pytest.fixture
def score(bundle: Bundle, photos: Path, tmp_path: Path) -> Score:
    """Predict sixteen photos and a broken one into `scores`, in this process and in chunks of five."""
    (photos / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")

    def score_all(scorer: PhotoScorer | None = None, out: Any = tmp_path / "scores", **options: Any) -> ScoringResult:
        chosen = RunOptions(**{"splits": SPLITS, "max_photos": 5, "engine": in_this_process} | options)
        return score_photos(str(photos), str(out), scorer or scorer_of(bundle), chosen)

    return score_all


def test_the_predictions_are_those_of_the_photos_and_of_their_features(
    score: Score, run: Run, bundle: Bundle, photos: Path, tmp_path: Path
) -> None:
    result = score()
    assert (result.model, result.photos, result.errors, result.parts, result.written) == (NAME, 17, 1, 4, 4)
    run(network=model_network(bundle))
    predictor = load_predictor(bundle)
    write_scores(FeatureScorer(predictor, open_parts(str(tmp_path / "out")), CONFIG), str(tmp_path / "by-features"))
    found, by_features = rows_of(tmp_path / "scores"), rows_of(tmp_path / "by-features")
    of_photos = predictor.predict_stream([(row["image"], photos / row["image"]) for row in found], CONFIG)
    for row, other, prediction in zip(found, by_features, of_photos, strict=True):
        assert row.keys() == other.keys() and (row["model"], len(row["manifest_sha256"])) == (NAME, 64)
        assert row["labels"] == other["labels"] == (None if prediction.error else list(prediction.labels))
        for name in ("image", "label", "unknown", "uncertain", "error", "neighbours", "model", "manifest_sha256"):
            assert row[name] == other[name], name
        if prediction.error is not None:
            assert row["image"] == "red/broken.jpg" and row["error"] and row["probability"] is None
            continue
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-6)
        assert row["distance"] == pytest.approx(prediction.distance, abs=1e-4)


def test_an_interrupted_run_is_resumed_with_the_same_bytes(score: Score, tmp_path: Path) -> None:
    score(out=tmp_path / "whole")

    def interrupted(task: Task, numbers: Sequence[int]) -> Iterator[Done]:
        yield from in_this_process(task, numbers[:1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(engine=interrupted)
    assert not (tmp_path / "scores" / "_SUCCESS").exists()
    assert score().written == 3 and score().written == 0
    assert bytes_of(tmp_path / "scores") == bytes_of(tmp_path / "whole")
    assert json.loads((tmp_path / "scores" / "_SUCCESS").read_text())["errors"] == 1


def test_the_plan_of_another_model_or_of_other_options_is_refused(
    score: Score, bundle: Bundle, workspace: Workspace, tmp_path: Path
) -> None:
    score()
    write_small_model(workspace.models / "other", created="2027-01-01T00:00:00Z")
    other = scorer_of(open_bundle(workspace.models / "other"), PredictConfig())
    before = bytes_of(tmp_path / "scores")
    with pytest.raises(ConfigError, match="network was 'colours' and is 'other'"):
        score(other)
    with pytest.raises(ConfigError, match=r"prediction\.top_k was 2 and is 1"):
        score(scorer_of(bundle, PredictConfig(top_k=1, neighbours=1)))
    assert bytes_of(tmp_path / "scores") == before
    assert score(other, overwrite=True).written == 4
    with pytest.raises(ConfigError, match="neighbours: expected a model with reference features"):
        score(scorer_of(open_bundle(workspace.models / "other")))


def test_features_and_predictions_are_not_mixed(score: Score, run: Run, bundle: Bundle, tmp_path: Path) -> None:
    score()
    with pytest.raises(DatasetError, match=f"expected features, found predictions of {NAME}"):
        open_parts(str(tmp_path / "scores"))
    network = model_network(bundle)
    with pytest.raises(ConfigError, match=r"prediction\.top_k was 2"):
        run(network=network, out=tmp_path / "scores")
    run(network=network)
    assert "prediction" not in json.loads((tmp_path / "out" / "plan.json").read_text())
    with pytest.raises(ConfigError, match=r"prediction\.top_k was"):
        score(out=tmp_path / "out")


def test_rows_from_a_divided_chunk_give_the_same_part(score: Score, tmp_path: Path) -> None:
    tasks: list[Any] = []

    def engine(task: Task, numbers: Sequence[int]) -> Iterator[Done]:
        tasks.append(task)
        yield from in_this_process(task, numbers)

    score(engine=engine)
    [job] = tasks
    rows = list(extract_rows(job, read_chunk(job.folder, 3)))
    file = tmp_path / "rows"
    file.write_bytes(part_content(rows, 3, job.plan_sha256))
    again = read_rows(file, [row.photo for row in rows])
    assert job.content(again, 3) == (tmp_path / "scores" / "part-00003.parquet").read_bytes()


def test_the_command_predicts_photos_in_parts(
    score: Score, workspace: Workspace, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "parts"
    options = ["predict", NAME, "--workspace", str(workspace.root)]
    command = [*options, str(photos), "--engine", "local", "--output", str(out), "--top-k", "2", "--neighbours", "1"]
    assert main([*command, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["model"], shown["photos"], shown["errors"], shown["written"]) == (NAME, 17, 1, 1)
    assert main(command) == 0
    assert "Wrote 17 predictions" in capsys.readouterr().err
    score()
    for row, expected in zip(rows_of(out), rows_of(tmp_path / "scores"), strict=True):
        assert (row["image"], row["labels"], row["error"]) == (expected["image"], expected["labels"], expected["error"])
    for wrong in (
        ["--picture", "photo.png"],
        ["--features", str(out)],
        ["--output", "table.csv"],
        ["--output", "remote:folder"],
        ["--master", "local[2]"],
        ["--chunk", "0"],
        [str(photos)],
    ):
        assert main([*command, *wrong]) == 2, wrong
    for wrong in (["--chunk", "5"], ["--overwrite"], ["--master", "yarn"], ["--output", "s3://bucket/folder"]):
        assert main([*options, str(photos), *wrong]) == 2, wrong

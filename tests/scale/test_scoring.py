"""Predictions by features: those of the photos, in parts that survive an interruption."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from model.bundle import Bundle, open_bundle
from model.cli.command import main
from model.config import PredictConfig
from model.errors import ConfigError
from model.scale.featurize import FeaturizeResult
from model.scale.network import model_network
from model.scale.parts import SUCCESS, open_parts
from model.scale.scoring import FeatureScorer, write_scores
from model.serving.predictor import load_predictor
from model.workspace import Workspace
from tests.scale.test_featurize import bytes_of
from tests.support.small_model import NAME, write_small_model

Run = Callable[..., FeaturizeResult]
CONFIG = PredictConfig(top_k=2)


@pytest.fixture
def scorer(bundle: Bundle, run: Run, photos: Path, tmp_path: Path) -> FeatureScorer:
    """The model, and features of sixteen photos and of a broken one by its network."""
    (photos / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    run(network=model_network(bundle))
    return FeatureScorer(load_predictor(bundle), open_parts(str(tmp_path / "out")), CONFIG)


def test_photos_are_predicted_by_their_features(scorer: FeatureScorer, photos: Path) -> None:
    found = [item for number in range(len(scorer.parts)) for item in scorer.predict(number)]
    assert len(found) == 17
    files = [(item.image, photos / item.image) for item in found]
    for item, expected in zip(found, scorer.predictor.predict_stream(files, CONFIG), strict=True):
        if expected.error is not None:
            assert item.image == "red/broken.jpg" and item.error and not item.labels
            continue
        assert (item.labels, item.unknown, item.uncertain) == (expected.labels, expected.unknown, expected.uncertain)
        assert item.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
        assert item.distance == pytest.approx(expected.distance, abs=1e-4)


def test_predictions_are_written_in_parts_and_resumed(scorer: FeatureScorer, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    result = write_scores(scorer, str(out))
    assert (result.photos, result.errors, result.parts, result.written) == (17, 1, 4, 4)
    content = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "part-00002.parquet").unlink()
    (out / SUCCESS).unlink()
    assert write_scores(scorer, str(out)).written == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == content
    table = pyarrow.parquet.read_table(out / "part-00000.parquet")
    assert set(table["model"].to_pylist()) == {NAME} and set(table["manifest_sha256"].to_pylist()) == {
        scorer.manifest_sha256
    }
    assert table["probability"].to_pylist() == [row[0] for row in table["probabilities"].to_pylist()]
    other = FeatureScorer(scorer.predictor, scorer.parts, PredictConfig(top_k=1))
    with pytest.raises(ConfigError, match=r"another plan: of other photos.* begin again with --overwrite"):
        write_scores(other, str(out))
    assert write_scores(other, str(out), overwrite=True).written == 4
    assert write_scores(other, str(out)).written == 0


def test_the_folder_of_the_features_is_no_output(scorer: FeatureScorer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a new folder"):
        write_scores(scorer, str(tmp_path / "out"))


def test_the_folder_of_predictions_is_no_output_of_features(scorer: FeatureScorer, run: Run, tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    write_scores(scorer, str(scores))
    before = bytes_of(scores)
    with pytest.raises(ConfigError, match=r"found '_SUCCESS' without plan.json: parts of another command"):
        run(out=scores)
    assert bytes_of(scores) == before
    assert write_scores(scorer, str(scores)).written == 0
    assert run(out=scores, overwrite=True).written == 4


def test_features_of_another_network_are_refused(bundle: Bundle, scorer: FeatureScorer, workspace: Workspace) -> None:
    write_small_model(workspace.models / "other", created="2027-01-01T00:00:00Z")
    with pytest.raises(ConfigError, match="--model other"):
        FeatureScorer(load_predictor(open_bundle(workspace.models / "other")), scorer.parts, CONFIG)


def test_options_that_the_model_cannot_fulfil_are_refused_before_any_part(scorer: FeatureScorer) -> None:
    with pytest.raises(ConfigError, match="explain_class: expected one of the"):
        FeatureScorer(scorer.predictor, scorer.parts, PredictConfig(explain_class="no such class"))


def test_the_command_predicts_features(
    scorer: FeatureScorer, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["predict", NAME, "--workspace", str(workspace.root), "--features", str(tmp_path / "out")]
    assert main([*options, "--output", str(tmp_path / "scores"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 4
    assert main([*options, "--output", str(tmp_path / "scores"), "--json", "--top-k", "1"]) == 2
    capsys.readouterr()
    assert main([*options, "--output", str(tmp_path / "scores"), "--json", "--top-k", "1", "--overwrite"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 4
    assert main(options) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n") == 17 and "Not read: red/broken.jpg" in shown
    assert main([*options, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["predictions"]) == 17 and answer["unknown_judged_by"] == list(scorer.predictor.judged_by)
    for wrong in (["photo.jpg"], ["--output", "table.csv"], ["--picture", "photo.png"]):
        assert main([*options, *wrong]) == 2

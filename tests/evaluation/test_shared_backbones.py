"""Models with the same backbone predict together exactly as each by itself; other models are not affected."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from model.bundle import Bundle, open_bundle, write_manifest
from model.bundle_files import ONNX_MODEL
from model.evaluation import predicting
from model.evaluation.predicting import predict_samples
from model.evaluation.shared_backbones import share_backbones
from model.features.divided_network import divide_network
from model.results import Sample
from model.serving.predictor import Engine, Predictor, load_predictor
from tests.support.colours import write_colour_model, write_colours

COLOURS = np.random.default_rng(0).normal(80, 30, (60, 3))


def changed(bundle: Bundle, **constants: float) -> Bundle:
    """The model with other constants in its graph: `scale` belongs to its backbone, `bias` to its head."""
    path = bundle.directory / ONNX_MODEL
    network = onnx.load(path)
    for tensor in network.graph.initializer:
        if tensor.name in constants:
            value = numpy_helper.to_array(tensor) * np.float32(constants[tensor.name])
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), tensor.name))
    onnx.save(network, path)
    write_manifest(bundle.directory, bundle.manifest)
    return open_bundle(bundle.directory)


def counted(predictor: Predictor) -> tuple[Predictor, list[tuple[str, ...]]]:
    """The same model, and a list of the outputs that its network has computed."""
    runs: list[tuple[str, ...]] = []
    engine: Engine = predictor._engine

    def run(images: np.ndarray, *outputs: str) -> list[np.ndarray]:
        runs.append(outputs)
        return engine(images, *outputs)

    return Predictor(predictor.bundle, run, predictor.reference, predictor.threads), runs


def photos_of(folder: Path) -> list[Sample]:
    write_colours(folder, 13)
    paths = sorted(folder.rglob("*.png"))
    return [Sample(path, str(path.relative_to(folder)), 0) for path in paths]


def test_models_with_one_backbone_run_it_once_with_equal_results(tmp_path: Path) -> None:
    models, samples = tmp_path / "models", photos_of(tmp_path / "photos")
    bundles = [
        write_colour_model(models, "first"),
        write_colour_model(models, "measured", always=1, learned_colours=COLOURS),
        write_colour_model(models, "third", classes=("blue", "red", "x"), always=2, learned_colours=COLOURS[::-1]),
    ]
    predictors = [load_predictor(bundle) for bundle in bundles]
    single = [predict_samples([predictor], samples).by_model[0] for predictor in predictors]
    watched = [counted(predictor) for predictor in predictors]
    together = predict_samples([predictor for predictor, _ in watched], samples)
    assert [len(runs) for _, runs in watched] == [2, 0, 0]
    for found, expected in zip(together.by_model, single, strict=True):
        assert np.array_equal(found.probabilities, expected.probabilities)
        assert (found.distances is None) == (expected.distances is None)
        if found.distances is not None and expected.distances is not None:
            assert np.array_equal(found.distances, expected.distances)
    assert not np.array_equal(single[0].probabilities, single[1].probabilities)


def test_a_model_with_another_backbone_or_input_runs_its_own(tmp_path: Path) -> None:
    models, samples = tmp_path / "models", photos_of(tmp_path / "photos")
    first = write_colour_model(models, "first")
    fine_tuned = changed(write_colour_model(models, "tuned"), scale=1.5)
    padded = write_colour_model(models, "padded")
    write_manifest(padded.directory, dataclasses.replace(padded.manifest, resize="pad"))
    watched = [counted(load_predictor(open_bundle(one.directory))) for one in (first, fine_tuned, padded)]
    predictors = [predictor for predictor, _ in watched]
    assert [len(group.predictors) for group in share_backbones(predictors)] == [1, 1, 1]
    together = predict_samples(predictors, samples)
    assert [len(runs) for _, runs in watched] == [2, 2, 2]
    for predictor, found in zip(predictors, together.by_model, strict=True):
        assert np.array_equal(found.probabilities, predict_samples([predictor], samples).by_model[0].probabilities)


def test_two_pairs_share_two_backbones_and_keep_their_order(tmp_path: Path) -> None:
    models, samples = tmp_path / "models", photos_of(tmp_path / "photos")
    bundles = [write_colour_model(models, name, always=number % 3) for number, name in enumerate("abcd")]
    bundles = [changed(bundle, scale=1 + number % 2, bias=0.001) for number, bundle in enumerate(bundles)]
    predictors = [load_predictor(bundle) for bundle in bundles]
    groups = [[one.bundle.name for one in group.predictors] for group in share_backbones(predictors)]
    assert groups == [["a", "c"], ["b", "d"]]
    together = predict_samples(predictors, samples)
    for predictor, found in zip(predictors, together.by_model, strict=True):
        assert np.array_equal(found.probabilities, predict_samples([predictor], samples).by_model[0].probabilities)


def test_each_photo_is_decoded_once_for_each_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, samples = tmp_path / "models", photos_of(tmp_path / "photos")
    bundles = [write_colour_model(models, name) for name in "abc"]
    write_manifest(bundles[2].directory, dataclasses.replace(bundles[2].manifest, image_size=8, resize="pad"))
    predictors = [load_predictor(open_bundle(bundle.directory)) for bundle in bundles]
    inputs: list[str] = []
    decode = predicting.decode_within_budget
    monkeypatch.setattr(
        predicting, "decode_within_budget", lambda content, spec: inputs.append(spec.resize) or decode(content, spec)
    )
    predict_samples(predictors, samples)
    assert sorted(inputs) == ["pad"] * len(samples) + ["squash"] * len(samples)
    inputs.clear()
    views = predicting.decoded_for(predictors, samples[0].path)
    assert len(inputs) == len(views) == 2


def test_a_head_that_needs_more_than_the_features_is_not_divided(tmp_path: Path) -> None:
    bundle = write_colour_model(tmp_path, "whole")
    network = onnx.load(bundle.directory / ONNX_MODEL)
    assert divide_network(network.SerializeToString()) is not None
    node = next(node for node in network.graph.node if "logits" in node.output)
    node.input[0] = "colours"
    assert divide_network(network.SerializeToString()) is None

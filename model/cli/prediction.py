"""`topgraft predict`: classify photos in files, folders and zips."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model import durable
from model.cli.options import (
    OutputPlace,
    PathOrRemote,
    check_engine_options,
    check_output_file,
    config_file_option,
    config_options,
    current_workspace,
    engine_options,
    json_option,
    resolve,
    workspace_option,
)
from model.cli.output import format_percentage, print_json, print_line, print_lines, progress_display
from model.cli.saved_predictions import saved_predictions, write_predictions
from model.config import PredictConfig, TrainConfig, options_of
from model.received import quoted
from model.registry import find_bundle
from model.results import Prediction
from model.shown import counted
from model.storage.copies import local_paths, output_file
from model.storage.places import is_remote

if TYPE_CHECKING:
    from model.scale.scoring_work import ScoringResult
    from model.serving.photos import Photos
    from model.serving.predictor import Predictor

TABLE_FORMATS = (".csv", ".json", ".jsonl", ".parquet")
PICTURE_FORMATS = (".png",)


@click.command(short_help="Classify photos.")
@click.argument("model", metavar="MODEL")
@click.argument("named", metavar="PATH...", nargs=-1)
@click.option(
    "--features",
    metavar="FOLDER",
    default="",
    help="Predict by features that topgraft featurize has written, instead of photos; --output is then a folder.",
)
@engine_options(
    "Predict many photos in parts, on this machine or on Apache Spark. PATH is then one SOURCE of topgraft featurize, "
    "and --output a folder or an address."
)
@config_options(PredictConfig, only=[name for name in options_of(PredictConfig) if name != "model"])
@config_file_option
@click.option(
    "--output",
    metavar="FILE",
    type=OutputPlace(),
    help=f"Write the predictions to this file: {', '.join(TABLE_FORMATS)}.",
)
@click.option(
    "--picture",
    metavar="FILE.png",
    type=PathOrRemote(dir_okay=False),
    help="Draw the first prediction: the photo, its heat map, and the most probable classes.",
)
@json_option
@workspace_option
def predict(
    model: str,
    named: tuple[str, ...],
    features: str,
    engine: str | None,
    master: str,
    max_photos: int,
    overwrite: bool,
    config_file: Path | None,
    output: Path | str | None,
    picture: Path | None,
    as_json: bool,
    **typed: Any,
) -> None:
    """Classify photos: files, folders, .zip files, and .txt files with one path per line.

    MODEL is the name of a trained model, or latest. Photos that cannot be read are listed; the exit
    status is 3 if none can be read. With --output, running the same command again resumes an
    interrupted run. PATH and FILE may be remote:path. With --engine, a photo that cannot be read is a
    row with an error.
    """
    if bool(named) == bool(features):
        raise click.UsageError("expected either PATH or --features.")
    check_engine_options(engine, master, by_features=bool(features))
    if engine or features:
        folder = folder_of_parts(named, features, engine, output, picture)
        config = resolve(PredictConfig, typed | {"model": model}, config_file)
        if engine is None:
            predict_by_features(features, config, folder, as_json, overwrite)
        else:
            show_result(predict_in_parts(named[0], folder, config, engine, master, max_photos, overwrite), as_json)
        return
    if isinstance(output, str):
        raise click.UsageError(f"--output: expected a file, received {quoted(output)}. An address needs --engine.")
    check_output_file("--output", output, TABLE_FORMATS)
    check_output_file("--picture", picture, PICTURE_FORMATS)
    predict_paths(named, resolve(PredictConfig, typed | {"model": model}, config_file), output, picture, as_json)


def predict_paths(
    named: tuple[str, ...], config: PredictConfig, output: Path | None, picture: Path | None, as_json: bool
) -> None:
    """Classify photos into a file or to the terminal, and draw the first prediction.

    Raises:
        ConfigError: the interrupted run of the file had another model or other options.
        ImageError: no photo can be read.
    """
    workspace = current_workspace()
    with progress_display() as progress:
        copies = local_paths(named, f"topgraft predict {config.model}", progress)
        paths = click.get_current_context().with_resource(copies)
    from model.serving.photos import Photos, predict_photos, refuse_unreadable
    from model.serving.predictor import find_predictor
    from model.serving.table import require_parquet

    if output is not None and output.suffix.lower() == ".parquet":
        require_parquet()
    photos = Photos(paths.paths, paths.name_of)
    predictor = find_predictor(workspace, config.model)
    head = answer_head(predictor)
    if output is not None:
        with output_file(output) as local:
            predictions = predict_to_file(predictor, photos, config, local, head)
        print_line(f"Wrote {counted(len(predictions), 'prediction')} to {output}", err=True)
    else:
        with progress_display() as progress:
            predictions = list(predict_photos(predictor, photos, config, progress))
        refuse_unreadable(predictions)
    if picture is not None:
        with output_file(picture) as local:
            durable.write_bytes(local, draw_first_answer(predictor, Photos(paths.paths), config))
        print_line(f"Drew the first prediction to {picture}", err=True)
    for failed in predictions:
        if failed.error is not None:
            print_line(f"Not read: {failed.image}: {failed.error}", err=True)
    if as_json:
        print_json(head | {"predictions": [item.to_json() for item in predictions]})
    elif output is None:
        print_lines(line for item in predictions if item.error is None for line in prediction_lines(item))


def folder_of_parts(
    named: tuple[str, ...], features: str, engine: str | None, output: Path | str | None, picture: Path | None
) -> str:
    """The folder or address of `--output` for parts, with `--features` or `--engine`; empty if there is none.

    Raises:
        UsageError: it is a file or in remote storage, or the arguments do not fit together.
    """
    option = "--engine" if engine else "--features"
    if engine and features:
        raise click.UsageError("--engine: expected PATH, received --features.")
    if picture is not None:
        raise click.UsageError(f"--picture: expected photos without --engine, received {option}.")
    place = "" if output is None else str(output)
    if place.lower().endswith(TABLE_FORMATS) or is_remote(place):
        raise click.UsageError(
            f"--output: expected a folder on this machine, or an address such as s3://bucket/folder, with {option}, "
            f"received {quoted(place)}."
        )
    if engine and (len(named) != 1 or not place):
        raise click.UsageError("--engine: expected one PATH and --output.")
    return place


def predict_in_parts(
    source: str, out: str, config: PredictConfig, engine: str, master: str, max_photos: int, overwrite: bool
) -> "ScoringResult":
    """Predict the photos of a source into parts in a folder; see `model.scale.photo_scoring.score_photos`.

    Raises:
        ConfigError, DatasetError: the photos cannot be listed, or the folder holds something else.
    """
    bundle = find_bundle(current_workspace(), config.model)
    from model.scale.chunk_run import RunOptions
    from model.scale.engines import started_engine
    from model.scale.network import model_network
    from model.scale.photo_scoring import PhotoScorer, score_photos
    from model.scale.source import SplitOptions
    from model.serving.predictor import prediction_rules

    scorer = PhotoScorer(model_network(bundle), prediction_rules(bundle), config)
    # The listing has a split for each photo, which predictions do not use.
    splits = SplitOptions.from_config(TrainConfig())
    with progress_display() as progress, started_engine(engine, master) as run:
        options = RunOptions(splits, max_photos=max_photos, overwrite=overwrite, engine=run, progress=progress)
        return score_photos(source, out, scorer, options)


def show_result(result: "ScoringResult", as_json: bool) -> None:
    """Show how many predictions were written in parts."""
    if as_json:
        print_json({"status": "OK", **dataclasses.asdict(result)})
    else:
        print_line(
            f"Wrote {counted(result.photos, 'prediction')} to {result.out}, {result.errors:,} with an error", err=True
        )


def predict_by_features(features: str, config: PredictConfig, out: str, as_json: bool, overwrite: bool = False) -> None:
    """Predict photos by their features: into parts in a folder, or to the terminal.

    Args:
        out: the folder; empty for the terminal.
        overwrite: remove the predictions of another run first.

    Raises:
        ConfigError, DatasetError: the features cannot be read, or are of another network.
    """
    workspace = current_workspace()
    from model.scale.parts import open_parts
    from model.scale.scoring import FeatureScorer, write_scores
    from model.serving.predictor import find_predictor

    scorer = FeatureScorer(find_predictor(workspace, config.model), open_parts(features), config)
    if out:
        with progress_display() as progress:
            result = write_scores(scorer, out, progress, overwrite=overwrite)
        show_result(result, as_json)
        return
    predictions = (item for number in range(len(scorer.parts)) for item in scorer.predict(number))
    if as_json:
        print_json(answer_head(scorer.predictor) | {"predictions": [item.to_json() for item in predictions]})
        return
    for item in predictions:
        line = prediction_lines(item) if item.error is None else [f"Not read: {item.image}: {item.error}"]
        print_lines(line)


def answer_head(predictor: "Predictor") -> dict[str, Any]:
    """What the answer in JSON states before the predictions."""
    head = {"status": "OK", "model": predictor.bundle.name, "marks": list(predictor.marks)}
    return head | {"unknown_judged_by": list(predictor.judged_by)}


def predict_to_file(
    predictor: "Predictor", photos: "Photos", config: PredictConfig, output: Path, head: dict[str, Any]
) -> list[Prediction]:
    """Classify the photos into a file, resuming an interrupted run; return all predictions in the file.

    Raises:
        ConfigError: the interrupted run had another model or other options.
        ImageError: no photo can be read.
    """
    from model.scale.scoring_work import options_of_predictions
    from model.serving.photos import predict_photos, refuse_unreadable

    run = {"model": predictor.bundle.name, "manifest_sha256": predictor.bundle.manifest_sha256}
    run |= options_of_predictions(config)
    with saved_predictions(output, run) as saved, progress_display() as progress:
        photos.answered = saved.images.copy()
        for prediction in predict_photos(predictor, photos, config, progress):
            saved.add(prediction)
        predictions = list(saved)
        if any(prediction.error is None for prediction in predictions):
            write_predictions(output, saved, head)
    refuse_unreadable(predictions)
    return predictions


def draw_first_answer(predictor: "Predictor", photos: "Photos", config: PredictConfig) -> bytes:
    """Draw the first readable photo with its heat map and most probable classes; return a PNG."""
    from model.serving.prediction_figure import draw_prediction

    content, prediction = next(
        (content, prediction)
        for name, content in photos
        for prediction in predictor.predict_stream([(Path(name).name, content)], config)
        if prediction.error is None
    )
    return draw_prediction(predictor, content, prediction, config.explain_class)


def prediction_lines(prediction: Prediction) -> list[str]:
    """Describe one prediction: the three most probable classes with its mark; similar photos in a second line."""
    pairs = list(zip(prediction.labels, prediction.probabilities, strict=True))[:3]
    answer = f"{prediction.image}: " + ", ".join(f"{label} {format_percentage(value)}" for label, value in pairs)
    mark = f"  (unknown: {prediction.unknown_explanation})" if prediction.unknown else ""
    if prediction.uncertain:
        mark = f"  (uncertain: {prediction.uncertain_between}; {prediction.uncertain_explanation})"
    mark += f"  (warning: {prediction.warning})" if prediction.warning else ""
    alike = ", ".join(f"{near.image} ({near.label}) {near.distance:.3f}" for near in prediction.neighbours or ())
    return [answer + mark, *([f"  most similar: {alike}"] if alike else [])]

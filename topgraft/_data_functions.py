"""The functions of `import topgraft` for labels, synthetic photos and archives, which the steps of pipelines call."""

import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from model import schema
from model.config import DEFAULT_CHUNK, NETWORK_OPTIONS, TrainConfig
from model.dataset import DATASET_OPTIONS, FEATURIZE_OPTIONS
from model.dataset.listing import LayoutOptions
from model.errors import ConfigError, DatasetError
from model.received import quoted
from model.registry import find_bundle
from model.results import Progress, no_progress
from model.storage.places import is_remote
from model.workspace import Workspace
from topgraft._functions import Path, check_options, chosen_workspace

if TYPE_CHECKING:
    from model.files.packing import Packed
    from model.labels.import_labels import LabelsImport
    from model.publishing.archive import Archive
    from model.scale.featurize import FeaturizeResult
    from model.synthesis.synthesize import Synthesis
    from model.training_result import ImportResult

_SPLIT_OPTIONS = ("val_fraction", "test_fraction", "seed")


def import_labels(
    source: Path,
    directory: Path,
    *,
    images: Path = "",
    control: str = "",
    annotator: str = "",
    margin: float = 0.1,
    min_side: int = 8,
    straighten: bool = False,
    progress: Progress = no_progress,
    **options: Any,
) -> "LabelsImport":
    """Make a dataset of labelled photos, as the command `topgraft import-labels` does of files.

    Args:
        source: JSON export or target storage of Label Studio, or COCO files; also `remote:path`.
        directory: folder of the dataset: new, or written by a former import, of which unchanged images are kept.
        images: folder of the photos, also `remote:path`; empty for the folder of the source.
        control: labelling control to read, if there are several.
        annotator: the person whose annotations alone are read; empty for all.
        margin: margin on each side of a box, as a fraction of its width and height.
        min_side: minimum width and height of a box in pixels.
        straighten: rotate the content of rotated boxes upright.
        progress: see `train`.
        options: `val_fraction`, `test_fraction` and `seed` of `TrainConfig`.

    Raises:
        DatasetError: the source has no usable label, or the folder holds something else.
        ConfigError: an option cannot be used.
        StorageError: files cannot be read.

    Example:
        >>> result = topgraft.import_labels("labels.json", "signs", images="labelled", seed=1)
        >>> sorted(result.images["train"])
        ['circle', 'square', 'triangle']
    """
    from model.labels.crops import CropOptions
    from model.labels.cutting import SplitOptions
    from model.labels.import_labels import ImportOptions
    from model.labels.import_labels import import_labels as import_read_labels
    from model.labels.sources import labels_in_files

    check_options(options, _SPLIT_OPTIONS)
    config = schema.load(TrainConfig, options)
    chosen = ImportOptions(
        CropOptions(margin, min_side, straighten),
        SplitOptions(config.val_fraction, config.test_fraction, config.seed),
        annotator,
    )
    name = os.fspath(source)
    _require_existing("source", name)
    with labels_in_files(name, os.fspath(images), control, progress) as (labels, photos):
        return import_read_labels(name, labels, photos, pathlib.Path(directory), chosen, progress)


def synthesize(
    cutouts: Path,
    backgrounds: Path,
    directory: Path,
    *,
    dataset: Path = "",
    count: int | None = None,
    fill: bool = False,
    margin: float | None = None,
    whole: bool = False,
    seed: int = 0,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> "Synthesis":
    """Make synthetic photos of cut-outs for training, as the command `topgraft synthesize` does.

    Args:
        cutouts: folder with a folder of pictures with transparency for each class; also `remote:path`.
        backgrounds: folder of photos or videos, a video, or `procedural`; also `remote:path`.
        directory: folder of the new dataset.
        dataset: dataset of real photos, which are put into the new one with their splits; empty for none.
        count: number of synthetic photos of each class; by default 100, with `fill` 0.
        fill: add as many photos as a class has fewer training photos than the largest class of the dataset.
        margin: cut each photo to its object, with this margin as a fraction of its width and height.
        whole: accept cut-outs without transparency.
        seed: fixes all random choices.
        workspace, progress: see `train`.
        options: options of `TrainConfig` that determine how the dataset is read and split.

    Raises:
        DatasetError: an input cannot be used, or the folder holds something else.
        ConfigError: an option cannot be used.

    Example:
        >>> result = topgraft.synthesize("cutouts", "procedural", "synthetic", count=2)
        >>> result.synthetic
        {'circle': 2, 'square': 2}
    """
    from model.synthesis import synthesize as synthesis

    check_options(options, DATASET_OPTIONS)
    number = (0 if fill else synthesis.DEFAULT_COUNT) if count is None else count
    real = schema.load(TrainConfig, options, {"dataset": os.fspath(dataset), "seed": seed}) if dataset else None
    return synthesis.synthesize(
        os.fspath(cutouts),
        os.fspath(backgrounds),
        pathlib.Path(directory),
        synthesis.SynthesisOptions(number, seed, fill, margin, whole),
        chosen_workspace(workspace),
        real,
        progress,
    )


def featurize(
    source: Path,
    out: Path,
    *,
    model: str = "",
    chunk: int = DEFAULT_CHUNK,
    pca: int = 0,
    engine: str = "local",
    master: str = "",
    overwrite: bool = False,
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> "FeaturizeResult":
    """Write the features of many photos as Parquet files, as the command `topgraft featurize` does.

    Args:
        source: dataset, folder, .txt file with a path on each line, or address such as `s3://bucket/photos`.
        out: folder or address: new, or of the same call, which is then resumed.
        model: trained model whose network is used; empty for a backbone.
        chunk: maximum number of photos of a part.
        pca: number of principal components to write, too; 0 for none.
        engine: `local`, or `spark` for Apache Spark.
        master: master of Spark, such as `spark://host:7077`; empty for the active session, or this machine.
        overwrite: remove the features of another run first.
        workspace, progress: see `train`.
        options: options of `TrainConfig`: `backbone`, `image_size`, `resize` and `intensity` without `model`, those of
            the splits, and those of the layout of a dataset.

    Raises:
        DatasetError: there are no photos, or they cannot be listed.
        ConfigError: an option cannot be used, or `out` holds features of another call.
        StorageError: files cannot be read or written.

    Example:
        >>> result = topgraft.featurize("data/new-photos", "features", image_size=96)
        >>> result.photos, result.features
        (6, 1280)
    """
    from model.scale.engines import started_engine
    from model.scale.featurize import featurize as featurize_photos
    from model.scale.network import backbone_network, model_network
    from model.scale.source import SplitOptions

    check_options(options, (*(() if model else NETWORK_OPTIONS), *FEATURIZE_OPTIONS))
    config = schema.load(TrainConfig, options)
    network = model_network(find_bundle(chosen_workspace(workspace), model)) if model else backbone_network(config)
    with started_engine(engine, master) as run:
        return featurize_photos(
            os.fspath(source),
            os.fspath(out),
            network,
            SplitOptions.from_config(config),
            layout=LayoutOptions.from_config(config),
            max_photos=chunk,
            components=pca,
            overwrite=overwrite,
            engine=run,
            progress=progress,
        )


def pack(folder: Path, archive: Path, *, progress: Progress = no_progress) -> "Packed":
    """Pack a dataset into one tar file, as the command `topgraft pack` does; the same files give the same bytes.

    Args:
        folder: the dataset; hidden files are left out.
        archive: the tar file, which is replaced.
        progress: see `train`.

    Raises:
        DatasetError: the folder cannot be packed.

    Example:
        >>> topgraft.pack("data/new-photos", "new-photos.tar").files
        6
    """
    from model.files.packing import pack_folder

    if not pathlib.Path(folder).is_dir():
        raise DatasetError(f"pack: expected a folder, received {quoted(os.fspath(folder))}.")
    return pack_folder(pathlib.Path(folder), pathlib.Path(archive), progress)


def export_model(model: str, archive: Path, *, workspace: Workspace | Path | None = None) -> "Archive":
    """Write a trained model as an archive, for `import_model` and the command `topgraft import`.

    Args:
        model: the name of a model, or `latest`.
        archive: file ending in .tar.xz, which is replaced; its checksum is written next to it.
        workspace: see `train`.

    Raises:
        ModelError: the model does not exist or is damaged.
        ConfigError: the archive has another suffix.

    Example:
        >>> topgraft.export_model("latest", "shapes.tar.xz").path.name
        'shapes.tar.xz'
    """
    from model.publishing.archive import SUFFIX, write_archive

    path = pathlib.Path(archive)
    if not path.name.endswith(SUFFIX):
        raise ConfigError(f"export_model: expected a file ending in {SUFFIX}, received {quoted(str(path))}.")
    found = chosen_workspace(workspace)
    return write_archive(find_bundle(found, model), path)


def import_model(
    source: Path,
    *,
    name: str = "",
    sha256: str = "",
    workspace: Workspace | Path | None = None,
    progress: Progress = no_progress,
) -> "ImportResult":
    """Import a model trained elsewhere, as the command `topgraft import` does.

    Args:
        source: folder or archive, https://... or `remote:path`, of a model of Topgraft or imgclas.
        name: name of the new model; by default that of the folder.
        sha256: expected checksum of the archive.
        workspace, progress: see `train`.

    Raises:
        ModelError: the source is no such model, is damaged, or contains code.
        ConfigError: the name is in use or invalid.

    Example:
        >>> archive = topgraft.export_model(topgraft.load("latest").bundle.name, "exported.tar.xz")
        >>> topgraft.import_model(archive.path, name="copy").model
        'copy'
    """
    from model.runs.import_run import import_model as import_from

    found = chosen_workspace(workspace)
    return import_from(os.fspath(source), found, name, sha256, progress)


def send_files(files: Iterable[Path], destination: Path, *, progress: Progress = no_progress) -> list[str]:
    """Send files to a folder in remote storage, such as the results of a step of a pipeline.

    Args:
        files: files of different names, which keep them; existing ones are replaced.
        destination: folder, as `remote:path` or a local path; created if missing, but for its bucket.
            Empty to send nothing.
        progress: see `train`.

    Returns:
        Their places. Each file was compared after the upload.

    Raises:
        StorageError: a file could not be sent; those before it were.
        ConfigError: a file does not exist, or two have the same name.

    Example:
        >>> len(topgraft.send_files(["labels.json"], "sent"))
        1
    """
    from model.storage.destination import send_files as send

    paths = [pathlib.Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"send_files: expected a file, found none: {quoted(str(path))}")
    names = [path.name for path in paths]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"send_files: expected different file names, received {quoted(doubled[0])} twice.")
    return send(paths, os.fspath(destination), progress) if os.fspath(destination) else []


def _require_existing(name: str, path: str) -> None:
    if not is_remote(path) and not pathlib.Path(path).exists():
        raise DatasetError(f"{name}: no such file or folder: {quoted(path)}")

"""Features of the photos of a source, as parts; the same run again resumes it."""

import dataclasses

from model.config import DEFAULT_CHUNK
from model.dataset.listing import LayoutOptions
from model.errors import ConfigError
from model.results import Progress, no_progress
from model.scale.chunk_run import BYTES_PER_ROW, Engine, RowKind, RunOptions, run_in_chunks
from model.scale.local import run_locally
from model.scale.moments import write_components
from model.scale.network import Network
from model.scale.source import SplitOptions
from model.scale.work import Job

PHASE = "featurize"


@dataclasses.dataclass(frozen=True)
class FeaturizeResult:
    """Result of a run.

    Attributes:
        out: the folder of features.
        photos: number of photos.
        errors: number of photos that could not be read.
        parts: number of parts.
        written: number of parts that this run has written; the others were there.
        features: number of features of a photo.
        classes: number of classes; 0 if the classes are unknown.
        pca: explained variance of each principal component, as a fraction of the total; empty without them.
    """

    out: str
    photos: int
    errors: int
    parts: int
    written: int
    features: int
    classes: int
    pca: tuple[float, ...] = ()


def featurize(
    source: str,
    out: str,
    network: Network,
    splits: SplitOptions,
    *,
    layout: LayoutOptions | None = None,
    max_photos: int = DEFAULT_CHUNK,
    components: int = 0,
    overwrite: bool = False,
    engine: Engine = run_locally,
    progress: Progress = no_progress,
) -> FeaturizeResult:
    """Write the features of all photos of a source as Parquet parts.

    Args:
        source: folder, dataset, list, or address of an object store.
        out: folder of features: new, or one of the same run, which is resumed.
        network: computes the features.
        splits: options of the splits, for photos that have none.
        layout: options of the layout of a dataset.
        max_photos: maximum number of photos of a chunk.
        components: number of principal components to write; 0 for none.
        overwrite: remove the parts of another run first.
        engine: does the work.
        progress: called with the phase `featurize`, in photos.

    Raises:
        DatasetError: there are no photos, or they cannot be listed.
        ConfigError: `out` is inside the source, or holds something else, or features of another plan or source.
        StorageError: the source cannot be read, or `out` cannot be written.
    """
    if components and components > network.features:
        raise ConfigError(f"pca: expected at most {network.features:,} components, received {components:,}.")
    kind = RowKind(
        PHASE,
        lambda photos, folder, sha256: Job(photos, folder, sha256, network.extractor),
        lambda plan: 4 * plan.features + BYTES_PER_ROW,
    )
    options = RunOptions(splits, layout or LayoutOptions(), max_photos, overwrite, engine, progress)
    run = run_in_chunks(source, out, network, kind, options)
    ratio: tuple[float, ...] = ()
    if components:
        pca = write_components(run.parts, components, engine, progress)
        ratio = tuple(float(value) for value in pca.ratio)
    plan = run.parts.plan
    return FeaturizeResult(
        out, plan.photos, run.errors, plan.chunks, run.written, plan.features, len(plan.classes), ratio
    )

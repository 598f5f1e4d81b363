"""Checks of a dataset as in a training: find or download it, decode its images, check and split them."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from model.config import TrainConfig
from model.dataset.given_names import errors_name
from model.dataset.prepare import prepare_dataset
from model.dataset.verdict import Verdict
from model.results import Progress, no_progress
from model.scratch import scratch_folder
from model.storage.copies import dataset_folder
from model.storage.places import is_remote
from model.workspace import Workspace


@contextmanager
def checked_dataset(
    config: TrainConfig,
    workspace: Workspace,
    user: str,
    progress: Progress = no_progress,
    for_training: bool = True,
) -> Iterator[Verdict]:
    """Check the dataset `config.dataset`; its images can be read until the block ends.

    An archive is unpacked into a temporary folder.

    Args:
        user: the reader of the dataset, such as "topgraft check", for messages to other processes.
        progress: called with the phase `check`, in images.
        for_training: demand what a training needs, see `prepare_dataset`.

    Raises:
        DatasetError, ArchiveError: the dataset cannot be used; the message lists all problems.
        StorageError: the dataset cannot be fetched.
    """
    with (
        scratch_folder("check") as work_directory,
        dataset_folder(workspace, config.dataset, user, progress) as source,
    ):
        with errors_name(config.dataset, source) if is_remote(config.dataset) else contextlib.nullcontext():
            verdict = prepare_dataset(source, config, work_directory, progress, for_training)
        yield verdict

"""State shared by the phases of a training: its data, options and deadline, and the remarks collected so far."""

import dataclasses
import functools
import logging
from pathlib import Path

import numpy as np

from model.backbones import Backbone, find_backbone
from model.config import TrainConfig
from model.dataset.training_data import TrainingData
from model.features.views import View, views_of
from model.results import InputSpec, Progress
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.epochs import Epoch
from model.training.journal import NO_JOURNAL, Journal

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingContext:
    """The inputs of a training, and the sentences that it reports.

    Attributes:
        work_directory: for checkpoints and large temporary files; an interrupted training is resumed from there.
        deadline: time at which to stop with the best model so far.
        journal: records each epoch and the final features.
        warnings: sentences about possible problems, for the reader of the result.
        remarks: sentences about choices of the training.
    """

    data: TrainingData
    config: TrainConfig
    work_directory: Path
    progress: Progress
    deadline: Deadline = NO_DEADLINE
    journal: Journal = NO_JOURNAL
    warnings: list[str] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)

    @property
    def backbone(self) -> Backbone:
        """The backbone that is trained."""
        return find_backbone(self.config.backbone)

    @property
    def spec(self) -> InputSpec:
        """The input of the network."""
        return InputSpec.from_config(self.config, self.data.intensity)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.data.classes)

    @functools.cached_property
    def views(self) -> tuple[View, ...]:
        """The augmented views of each training image."""
        return views_of(self.config, len(self.data.rows("train")) / self.classes)

    def warn(self, sentence: str) -> None:
        """Log a warning and add it to the result."""
        log.warning("%s", sentence)
        self.warnings.append(sentence)

    def remark(self, sentence: str) -> None:
        """Log a sentence and add it to the remarks of the result."""
        log.info("%s", sentence)
        self.remarks.append(sentence)

    def report_epoch(self, row: Epoch, val_logits: np.ndarray | None) -> None:
        """Report an epoch of the head to the journal and as progress."""
        self.journal.epoch(row, val_logits)
        self.progress(
            row.phase,
            row.epoch,
            self.config.epochs,
            loss=row.loss,
            val_loss=row.val_loss,
            val_accuracy=row.val_accuracy,
            val_macro_f1=row.val_macro_f1,
        )

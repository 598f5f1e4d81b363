"""The fine-tuning phase of a training: whether and what to tune, and whether the result is better than the head."""

from typing import TYPE_CHECKING, Any

import numpy as np

from model.evaluation.paired import compare_paired
from model.features.extractor import Extract
from model.features.views import view_transform
from model.networks.tensorflow_import import import_tensorflow
from model.training.batches import learning_weights, measuring_weights
from model.training.context import TrainingContext
from model.training.fine_tuning.automatic_choice import (
    Choice,
    Circumstances,
    choice_for_few_images,
    choose_fine_tuning,
    leaving_time,
    measured_seconds_per_image,
    saved_choice,
    seconds_to_finish,
)
from model.training.head_candidates import Head, LabelledFeatures
from model.training.memory import memory_remark

if TYPE_CHECKING:
    import keras

    from model.training.fine_tuning.fine_tune import Part, Tuned


def part_to_tune(context: TrainingContext, extract: Extract) -> "Part | None":
    """The part of the backbone to fine-tune, by the option `fine_tune`; None to leave it frozen.

    Args:
        extract: the frozen backbone; its speed determines the choice of `fine_tune = auto`.
    """
    requested: Any = context.config.fine_tune
    if context.backbone.is_in_onnx:
        if requested == "auto":
            context.remark(f"fine_tune = auto chose none: {context.backbone.name} is a network in ONNX")
        return None
    if requested == "auto":
        choice = saved_choice(context.work_directory / "fine_tune.json", lambda: _choose(context, extract))
        context.remark(f"fine_tune = auto chose {choice.fine_tune}: {choice.reason}")
        requested = choice.fine_tune
    return None if requested == "none" else requested


def _choose(context: TrainingContext, extract: Extract) -> Choice:
    data = context.data
    train, val = len(data.rows("train")), len(data.rows("val"))
    too_few = choice_for_few_images(train, val, context.classes)
    if too_few is not None:
        # Without TensorFlow, which is loaded only to find GPUs.
        return too_few
    import_tensorflow()
    from model.training.fine_tuning.hardware import gpus

    return choose_fine_tuning(
        Circumstances(
            images=len(data),
            train_images=train,
            val_images=val,
            classes=context.classes,
            views=1 + len(context.views),
            epochs=context.config.fine_tune_epochs,
            seconds_per_image=measured_seconds_per_image(extract, context.spec),
            gpu=bool(gpus()),
            seconds_left=context.deadline.seconds_left(),
        )
    )


def run_fine_tuning(
    context: TrainingContext, network: "keras.Model", start: Head, part: "Part", seconds_per_image: float
) -> "Tuned":
    """Fine-tune a part of a network, which is left with the weights of the best epoch.

    Args:
        start: the head to begin with.
        seconds_per_image: duration of the frozen backbone; the deadline leaves time to extract all features again.

    Raises:
        TrainingError: the memory of the GPU is too small for a single image.
    """
    from model.training.fine_tuning.fine_tune import fine_tune

    _warn_of_memory(context, network, part)
    data, config = context.data, context.config
    tuned = fine_tune(
        network,
        start,
        part,
        data,
        learning_weights(data.labels[data.rows("train")], context.classes, config.imbalance),
        measuring_weights(data.labels[data.rows("val")], context.classes, config.imbalance),
        config,
        context.work_directory,
        context.progress,
        leaving_time(context.deadline, seconds_to_finish(len(data), seconds_per_image)),
        [None, *(view_transform(view, data.content_hashes) for view in context.views)],
        context.journal,
    )
    if tuned.batch_size < config.batch_size:
        context.warnings.append(
            f"the memory of the GPU was too small for batches of {config.batch_size} images: fine-tuning "
            f"ended with batches of {tuned.batch_size}"
        )
    return tuned


def _warn_of_memory(context: TrainingContext, network: "keras.Model", part: "Part") -> None:
    from model.networks.network import cut_at_last_block
    from model.training.fine_tuning.hardware import gpus

    if gpus():
        return
    trained = cut_at_last_block(network)[1] if part == "top" else network
    if remark := memory_remark(trained, context.config.batch_size, part == "scratch"):
        context.warn(remark)


def is_improvement(context: TrainingContext, tuned: "Tuned", head_logits: np.ndarray, val: LabelledFeatures) -> bool:
    """Whether fine-tuning improved validation beyond chance, compared with the logits of the head alone."""
    if not tuned.head.best_epoch:
        context.remark("fine-tuning was left out: the time limit was reached before its first epoch, or it diverged")
        return False
    config = context.config
    found = compare_paired(head_logits, tuned.val_logits, val.labels, val.weights, config.stop_on, config.seed)
    kept = "was kept" if found.is_better else "was left out, because the difference may be due to chance"
    context.remark(f"fine-tuning reached {found}, and {kept}")
    return found.is_better

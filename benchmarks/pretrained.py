"""Transfer learning on the demo dataset: ImageNet weights against random ones.

How: the demo dataset (eight classes, 60 photos each) is trained on twice: with `weights=imagenet` and default options,
and with `weights=none`, which trains all layers of the same network. On two processors an epoch of the latter takes
about half a minute, so it gets 12 epochs, which is many times the duration of the former.

Depends on: nothing but the seed, up to rounding; the times depend on the processors. More epochs would improve the
random weights, more photos much more.
"""

import tempfile
from pathlib import Path

from benchmarks.tables import markdown_table, times, verdict
from model.config import TrainConfig
from model.synthesis.composition import write_demo_dataset
from model.training_result import TrainingResult
from model.workspace import Workspace
from tests.support.processes import in_fresh_process

IMAGES_PER_CLASS = 60
EPOCHS_FROM_SCRATCH = 12


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        workspace = Workspace(Path(directory))
        workspace.models.mkdir()
        write_demo_dataset(workspace.data, IMAGES_PER_CLASS)
        pretrained = in_fresh_process(run_training, TrainConfig(name="imagenet"), workspace)
        from_scratch = TrainConfig(name="none", weights="none", epochs=EPOCHS_FROM_SCRATCH)
        random = in_fresh_process(run_training, from_scratch, workspace)
    print(_table(pretrained, random))


def run_training(config: TrainConfig, workspace: Workspace) -> TrainingResult:
    """Train as `model.runs.trainer.train`."""
    from model.runs.trainer import train

    return train(config, workspace)


def _table(pretrained: TrainingResult, random: TrainingResult) -> str:
    accuracies = [result.metrics["test"]["accuracy"] for result in (random, pretrained)]
    intervals = [result.metrics["test"]["accuracy_interval"] for result in (random, pretrained)]
    clearly_better = intervals[0][1] < intervals[1][0]
    rows = [
        [
            f"accuracy on {pretrained.metrics['test']['images']} test photos (95 % interval)",
            *(
                f"{accuracy:.3f} ({low:.3f} to {high:.3f})"
                for accuracy, (low, high) in zip(accuracies, intervals, strict=True)
            ),
            f"{100 * (accuracies[1] - accuracies[0]):+.0f} points",
            verdict("intervals apart", clearly_better),
        ],
        [
            "time of the training", f"{random.seconds:.0f} s", f"{pretrained.seconds:.0f} s",
            times(random.seconds / pretrained.seconds), "",
        ],
    ]  # fmt: skip
    header = [f"demo dataset, {8 * IMAGES_PER_CLASS} photos", f"random weights, {EPOCHS_FROM_SCRATCH} epochs"]
    return markdown_table([*header, "ImageNet weights", "ratio", "goal"], rows)


if __name__ == "__main__":
    main()

"""Converts the backbones of the choices when the studio is started for the first time on a computer.

The first training would do it and take longer: the user chooses photos meanwhile. It is done in a child process,
because it needs TensorFlow.
"""

import logging
import subprocess
import sys
import threading

from model.config import TrainConfig
from model.intensity import FULL
from model.logs import protect_logs
from model.presets import preset_options
from model.processes import python_command, python_environment, start_child
from model.results import InputSpec
from model.schema import load
from model.studio.choices import CHOICES
from model.workspace import Workspace

PREPARATION_LOG = "preparation.log"
"""Output of the conversion, in the folder of the studio; replaced at each start."""

# That of a training, which may wait for it.
_NICENESS = 5


def prepare(workspace: Workspace) -> None:
    """Convert the backbones that are missing, in the background; call it from the main thread, with which it ends."""
    with open(workspace.studio / PREPARATION_LOG, "wb") as output:
        child = start_child(
            python_command(__name__), _NICENESS, env=python_environment(), stdout=output, stderr=subprocess.STDOUT
        )
    threading.Thread(target=child.wait, daemon=True, name="preparation").start()


def inputs() -> list[tuple[str, int]]:
    """Names of the backbones of the choices, each with the size of its images, in the order of the choices."""
    configs = [load(TrainConfig, preset_options({"preset": choice})) for choice in CHOICES]
    return list(dict.fromkeys((config.backbone, InputSpec.from_config(config, FULL).height) for config in configs))


def main() -> int:
    """Main function of the child process."""
    from model.backbones import find_backbone
    from model.networks.converted_backbone import converted_backbone

    logging.basicConfig(level=logging.INFO)
    protect_logs()
    for name, size in inputs():
        converted_backbone(find_backbone(name), size)
    return 0


if __name__ == "__main__":
    sys.exit(main())

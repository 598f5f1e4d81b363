"""Requirements file for the Docker image, so that dependencies form a layer that only setup.cfg changes.

    python3 requirements.py setup.cfg --tag 2.19.0-gpu --extras mlflow > requirements.txt

TensorFlow is pinned to the package and version of the base image. Images without CUDA contain `tensorflow-cpu`, where
`tensorflow`, or a newer version, would be installed a second time. For GPU images, `onnxruntime` is replaced by
`onnxruntime-gpu`, because the two packages overwrite each other. Uses the standard library only.
"""

import argparse
import configparser
import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# From 1.27 on it needs CUDA 13; the base images have CUDA 12.
ONNX_RUNTIME_ON_GPU = "onnxruntime-gpu>=1.20,<1.27"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def requirements(setup: Path, tag: str, extras: Sequence[str], installed: Mapping[str, str]) -> Iterator[str]:
    """The requirements of an installation, as lines of a requirements file.

    Args:
        setup: setup.cfg.
        tag: tag of the base image; with CUDA if it contains `gpu`.
        extras: names of groups of extras_require.
        installed: packages of the base image, name -> version; names in lower case, with `-` between words.

    Raises:
        SystemExit: setup.cfg has no such extra.
    """
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(setup.read_text(encoding="utf-8"))
    groups = config["options.extras_require"]
    unknown = [extra for extra in extras if extra not in groups]
    if unknown:
        sys.exit(f"extras: expected some of {', '.join(groups)}, received {', '.join(unknown)}.")
    for text in (config["options"]["install_requires"], *(groups[extra] for extra in extras)):
        for line in filter(None, map(str.strip, text.splitlines())):
            yield _for_this_base(line, tag, installed)


def _for_this_base(requirement: str, tag: str, installed: Mapping[str, str]) -> str:
    found = _NAME.match(requirement)
    name = found.group().lower() if found else ""
    if name == "tensorflow":
        present = next((package for package in ("tensorflow-cpu", "tensorflow") if package in installed), None)
        return f"{requirement.replace(name, present, 1)},=={installed[present]}" if present else requirement
    if name == "onnxruntime" and "gpu" in tag:
        return ONNX_RUNTIME_ON_GPU
    return requirement


def main() -> None:
    """Print the requirements."""
    parser = argparse.ArgumentParser(description="Write the requirements of the image to standard output.")
    parser.add_argument("setup", type=Path)
    parser.add_argument("--tag", default="", help="tag of the base image")
    parser.add_argument("--extras", default="", help="extras of setup.cfg, separated by commas")
    arguments = parser.parse_args()
    # The metadata of a wheel may name tensorflow-cpu as tensorflow_cpu.
    found = importlib.metadata.distributions()
    installed = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in found}
    extras = [extra for extra in arguments.extras.replace(" ", "").split(",") if extra]
    sys.stdout.writelines(f"{line}\n" for line in requirements(arguments.setup, arguments.tag, extras, installed))


if __name__ == "__main__":
    main()

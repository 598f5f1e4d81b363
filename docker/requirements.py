"""What pip is to install into the image before the code is there: a layer that only setup.cfg changes.

    python3 requirements.py setup.cfg --tag 2.19.0-gpu --extras mlflow > requirements.txt

Base images differ from what setup.cfg names. Those without CUDA hold TensorFlow as `tensorflow-cpu`: asking for
`tensorflow` would install it a second time, and so would a newer version, which pip takes where others fit that better.
Hence the one of the base image is asked for. Where the tag says that there is a GPU, ONNX Runtime is the one that uses
it; both at once would overwrite each other. Only the standard library is there to run this.
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
        tag: of the base image; with `gpu` in it there is CUDA.
        extras: names of groups of extras_require.
        installed: what the base image has, name -> version; names in small letters, with `-` between words.

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
        here = next((other for other in ("tensorflow-cpu", "tensorflow") if other in installed), None)
        return f"{requirement.replace(name, here, 1)},=={installed[here]}" if here else requirement
    if name == "onnxruntime" and "gpu" in tag:
        return ONNX_RUNTIME_ON_GPU
    return requirement


def main() -> None:
    """Print the requirements."""
    parser = argparse.ArgumentParser(description="What pip is to install into the image.")
    parser.add_argument("setup", type=Path)
    parser.add_argument("--tag", default="", help="of the base image")
    parser.add_argument("--extras", default="", help="with commas between")
    arguments = parser.parse_args()
    # Wheels may write tensorflow_cpu for the same.
    found = importlib.metadata.distributions()
    installed = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in found}
    extras = [extra for extra in arguments.extras.replace(" ", "").split(",") if extra]
    sys.stdout.writelines(f"{line}\n" for line in requirements(arguments.setup, arguments.tag, extras, installed))


if __name__ == "__main__":
    main()

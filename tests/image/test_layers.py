"""The images are small: no layer keeps a cache, lists of packages or a compiler. The built layers are checked, too."""

import pytest

from tests.image.layers import left_in_layers
from tests.support.command import ROOT

APT = "apt-get update && apt-get install --yes --no-install-recommends"
CLEAN = "rm -rf /var/lib/apt/lists/*"


@pytest.mark.parametrize("path", ["Dockerfile", ".sqa/Dockerfile", "docker/child/Dockerfile.jinja"])
def test_no_layer_keeps_unneeded_files(path: str) -> None:
    assert left_in_layers((ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        (f"RUN {APT} git\nRUN {CLEAN}", "/var/lib/apt/lists"),
        (f"RUN {CLEAN} && {APT} git", "/var/lib/apt/lists"),
        (f"RUN apt-get install --yes git \\\n # words\n && {CLEAN}", "only recommended"),
        (f"RUN {APT} \\\n gcc && {CLEAN}\nRUN apt-get purge --yes gcc", "compilers: gcc"),
        (f"run {APT} build-essential && {CLEAN}", "compilers: build-essential"),
        ("RUN pip install tox", "the cache of pip"),
        ("RUN python3 -m pip install --no-cache-dir tox && pip3 install numpy", "pip3 install numpy"),
        ("RUN pip install tox\nENV PIP_NO_CACHE_DIR=1", "the cache of pip"),
    ],
)
def test_unneeded_files_in_a_layer_are_found(instructions: str, expected: str) -> None:
    [left] = left_in_layers(f"ARG tag=1\nFROM base:${{tag}}\n{instructions}\n")
    assert expected in left


@pytest.mark.parametrize(
    "instructions",
    [
        f"RUN {APT} gcc && pip install --no-cache-dir numpy && apt-get purge --yes gcc && {CLEAN}",
        "ENV LANG=C.UTF-8 \\\n    PIP_NO_CACHE_DIR=1\nRUN pip install tox",
        "RUN --mount=type=cache,target=/root/.cache/pip pip install tox",
        f"RUN {APT} gcc\nFROM base\nRUN {APT} git && {CLEAN}",
    ],
)
def test_files_removed_in_their_layer_are_not_reported(instructions: str) -> None:
    assert left_in_layers(f"FROM base\n{instructions}\n") == []

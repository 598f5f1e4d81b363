"""Superfluous content that a Dockerfile leaves in image layers: caches, lists of packages, compilers.

Only the text of the Dockerfile is read, since a build takes minutes. A later layer cannot shrink an earlier one.
"""

import re
from collections.abc import Iterator

COMPILERS = frozenset(["build-essential", "cargo", "clang", "g++", "gcc", "gfortran", "golang", "python3-dev", "rustc"])
_LISTS = "/var/lib/apt/lists"


def left_in_layers(dockerfile: str) -> list[str]:
    """Descriptions of unneeded files in the layers of the last stage."""
    left = []
    without_cache = False
    for instruction in _last_stage(dockerfile):
        keyword, _, rest = instruction.partition(" ")
        without_cache |= keyword == "ENV" and bool(re.search(r"\bPIP_NO_CACHE_DIR=[1\"']", rest))
        if keyword == "RUN":
            left += [*_apt_leftovers(rest), *_pip_leftovers(rest, without_cache)]
    return left


def _last_stage(dockerfile: str) -> list[str]:
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    instructions = [" ".join(line.split()) for line in joined.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(instructions) if line.upper().startswith("FROM ")]
    return [re.sub(r"^\w+", lambda found: found[0].upper(), line) for line in instructions[starts[-1] :]]


def _apt_leftovers(command: str) -> Iterator[str]:
    installed, purged, cleaned = set[str](), set[str](), False
    for step in re.split(r"&&|;|\|\|", command):
        words = step.split()
        if re.search(r"\bapt(-get)? .*\binstall\b", step):
            installed |= set(words)
            cleaned = False
            if "--no-install-recommends" not in words:
                yield f"packages that are only recommended: {step.strip()}"
        elif re.search(r"\bapt(-get)? .*\b(purge|remove|autoremove)\b", step):
            purged |= set(words)
        cleaned |= "rm" in words and any(word.startswith(_LISTS) for word in words)
    if installed and not cleaned:
        yield f"{_LISTS}: {command}"
    if compilers := sorted((installed & COMPILERS) - purged):
        yield f"compilers: {', '.join(compilers)}"


def _pip_leftovers(command: str, without_cache: bool) -> Iterator[str]:
    if without_cache or "--mount=type=cache" in command:
        return
    for step in re.split(r"&&|;|\|\|", command):
        if re.search(r"\bpip3? install\b", step) and "--no-cache-dir" not in step:
            yield f"the cache of pip: {step.strip()}"

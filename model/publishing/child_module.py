"""Repository of a child module: the base image with one trained model, as the hub of AI4OS builds it.

The templates are in `docker/child/`. Files of a repository that the user has changed are kept.
"""

import dataclasses
import hashlib
import logging
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from model import durable
from model.addresses import redacted
from model.backbones import BACKBONES
from model.bundle import Bundle
from model.data_files import data_folders
from model.errors import ConfigError
from model.files.checksums import file_sha256
from model.files.rendering import docker_string, render
from model.provenance import provenance_of, utc_today
from model.publishing.card import accuracy_sentence, model_card, summary_of
from model.publishing.child_options import ChildOptions, check_options, check_weights, read_sample
from model.reading import UnreadableError, describe, read_json, unreadable, with_path
from model.serving.predictor import load_predictor
from model.shown import one_line

LICENSE = "LICENSE"
# sha256 of each written file, old and new while it is replaced: a file with another one was changed by the user.
WRITTEN = ".topgraft-child.json"
_FILES = {
    "Dockerfile": "Dockerfile.jinja",
    "Jenkinsfile": "Jenkinsfile.jinja",
    "JenkinsConstants.groovy": "JenkinsConstants.groovy.jinja",
    ".sqa/config.yml": "sqa-config.yml.jinja",
    ".sqa/docker-compose.yml": "sqa-docker-compose.yml.jinja",
    ".gitignore": "gitignore.jinja",
    ".zenodo.json": "zenodo.json.jinja",
    "README.md": "README.md.jinja",
    "VERSION": "VERSION.jinja",
    "ai4-metadata.yml": "ai4-metadata.yml.jinja",
    "metadata.json": "metadata.json.jinja",
    "tests/test_served_model.py": "test_served_model.py.jinja",
}
_LITE = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
_KERAS = "https://keras.io/api/applications/"
_MEGABYTE = 1_000_000
_SERVICE_MB = 900

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ChildModule:
    """Written repository: its folder, its files, the files kept because the user changed them, remaining steps."""

    directory: Path
    files: tuple[str, ...]
    kept: tuple[str, ...]
    to_do: tuple[str, ...]


def write_child_module(
    bundle: Bundle, weights_url: str, sha256: str, directory: Path, options: ChildOptions, git: bool = False
) -> ChildModule:
    """Write or update the repository in `directory`.

    Args:
        weights_url: URL of the archive of the model (`model.publishing.archive`): https, or this machine.
        sha256: sha256 of that archive.
        git: whether to initialise a git repository.

    Raises:
        ConfigError: the URL, sha256, base or tags cannot be used, or the folder contains something else.
    """
    check_weights(weights_url, sha256)
    check_child_module(directory, options)
    durable.remove_leftovers(directory / WRITTEN)
    before = _written_before(directory)
    files = _files(bundle, weights_url, sha256.lower(), options)
    kept = tuple(name for name in files if _is_changed(directory / name, before.get(name, [])))
    new_files = {name: content for name, content in files.items() if name not in kept}
    checksums = {name: [hashlib.sha256(content).hexdigest()] for name, content in new_files.items()}
    directory.mkdir(parents=True, exist_ok=True)
    # Written first, with old and new checksums: when this is repeated after a kill, both count as unchanged.
    durable.write_json(
        directory / WRITTEN, before | {name: [*before.get(name, []), *checksums[name]] for name in new_files}
    )
    for name, content in new_files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        durable.remove_leftovers(directory / name)
        durable.write_bytes(directory / name, content)
    durable.write_json(directory / WRITTEN, before | checksums)
    if git:
        _initialise(directory)
    outdated = _outdated(directory, {name: files[name] for name in kept}, weights_url, sha256.lower())
    return ChildModule(directory, tuple(files), kept, (*outdated, *_to_do(bundle, options)))


def check_child_module(directory: Path, options: ChildOptions) -> None:
    """Check that a child module with these options can be written into `directory`, without changing anything.

    Raises:
        ConfigError: base, tags or sample cannot be used, or the folder contains something else.
    """
    check_options(options)
    _written_before(directory)
    templates()


def slug_of(title: str) -> str:
    """Title converted to the name of a repository and an image."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "model"


def _written_before(directory: Path) -> dict[str, list[str]]:
    marker = directory / WRITTEN
    try:
        with unreadable():
            return {name: [*map(str, checksums)] for name, checksums in read_json(marker).items()}
    except FileNotFoundError:
        pass
    except (OSError, UnreadableError) as error:
        raise ConfigError(
            f"{marker}: expected the checksums of the written files, received: {describe(error)}. Choose another "
            "folder with --out, or remove this one."
        ) from error
    expected = {directory / ".git", *durable.leftovers(marker)}
    if directory.exists() and (not directory.is_dir() or any(path not in expected for path in directory.iterdir())):
        raise ConfigError(
            f"{directory}: expected a new or empty folder, or an existing child module; it contains something else. "
            "Choose another with --out."
        )
    return {}


def _is_changed(path: Path, written: list[str]) -> bool:
    return path.is_file() and file_sha256(path) not in written


def _outdated(directory: Path, kept: dict[str, bytes], weights_url: str, sha256: str) -> tuple[str, ...]:
    """Remaining step if kept files lack the URL or the sha256 of the weights that the new ones would contain."""
    values = {value.encode() for value in (weights_url, docker_string(weights_url)[1:-1], sha256)}
    names = [
        name
        for name, generated in kept.items()
        if any(value in generated and value not in (directory / name).read_bytes() for value in values)
    ]
    step = f"{', '.join(names)}: kept with your changes, but for other weights: set {weights_url} and sha256 {sha256}"
    return (step,) if names else ()


def _files(bundle: Bundle, weights_url: str, sha256: str, options: ChildOptions) -> dict[str, bytes]:
    suffix, photo = read_sample(options.sample)
    sample = f"sample{suffix}"
    values = _values(bundle, weights_url, sha256, sample, options)
    folder = templates()
    files = {name: render(template, values, folder).encode() for name, template in _FILES.items()}
    files[LICENSE] = (folder / LICENSE).read_bytes()
    files[f"tests/data/{sample}"] = photo
    files["tests/data/expected.json"] = durable.json_text(_expected(bundle, sample, photo)).encode()
    return dict(sorted(files.items()))


def templates() -> Path:
    """Folder of the templates: that of the checkout of an editable installation, otherwise that of the package.

    Raises:
        ConfigError: neither exists.
    """
    places = data_folders("child", "docker/child")
    for place in places:
        if (place / LICENSE).is_file():
            return place
    raise ConfigError(f"expected the templates in {' or '.join(map(str, places))}, found none. Install topgraft again.")


def _values(bundle: Bundle, weights_url: str, sha256: str, sample: str, options: ChildOptions) -> dict[str, Any]:
    manifest, about = bundle.manifest, options.about
    title = about.title or bundle.name
    slug = slug_of(title)
    summary = about.summary or summary_of(manifest)
    named = dataclasses.replace(manifest, name=bundle.name)
    return {
        "title": title,
        "slug": slug,
        "summary": summary,
        "description": _description(bundle, summary),
        "author": about.author,
        "creators": [name.strip() for name in about.author.split(";") if name.strip()],
        "license": about.license,
        "repository": options.repository or f"https://github.com/ai4os-hub/{slug}",
        "base": options.base if "/" in options.base else f"ai4oshub/{options.base}",
        "tag": options.tag,
        "gpu_tag": options.gpu_tag,
        "version": options.version,
        "model": bundle.name,
        "weights_url": weights_url,
        "sha256": sha256,
        "sample": sample,
        "dataset_url": options.dataset_url,
        "expires": options.expires,
        "created": manifest.created[:10] or utc_today(),
        "updated": utc_today(),
        "base_model": _base_model(bundle),
        "tags": ["image classification", "transfer learning", "topgraft", manifest.backbone],
        "memory_mb": _SERVICE_MB + 3 * bundle.size // _MEGABYTE,
        "storage_mb": 1 + 2 * bundle.size // _MEGABYTE,
        "provenance": provenance_of(bundle.directory),
        "card": model_card(named, about),
    }


def _description(bundle: Bundle, summary: str) -> str:
    manifest = bundle.manifest
    lines = [
        summary,
        f"Classes: {', '.join(manifest.classes)}.",
        accuracy_sentence(manifest),
        f"A {manifest.backbone} network trained with Topgraft; it returns a probability for each class.",
    ]
    # Line breaks in a name would end the block in which the description is placed.
    return "\n".join(map(one_line, lines))


def _base_model(bundle: Bundle) -> str:
    row = BACKBONES.get(bundle.manifest.backbone)
    if row is None or bundle.manifest.train_config.get("weights") == "none":
        return ""
    return _LITE if row.embedded else _KERAS


def _expected(bundle: Bundle, sample: str, photo: bytes) -> dict[str, Any]:
    prediction = next(iter(load_predictor(bundle).predict_stream([(sample, photo)])))
    if prediction.error is not None:
        raise ConfigError(f"sample: expected a photo that can be classified, received: {prediction.error}")
    return {
        "model": bundle.name,
        "sample": sample,
        "label": prediction.labels[0],
        "probability": round(prediction.probabilities[0], 4),
    }


def _initialise(directory: Path) -> None:
    try:
        command = [shutil.which("git") or "git", "init", "--quiet", "--initial-branch=main"]
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or with_path(error)
        raise ConfigError(
            f"git: expected to make {directory} a repository, received: {redacted(reason.strip())}."
        ) from error


def _to_do(bundle: Bundle, options: ChildOptions) -> tuple[str, ...]:
    steps = []
    if not options.about.author:
        steps.append('name the authors of the model: run the same command with --author "A. Person; B. Person"')
    if not options.about.license:
        steps.append(
            "set the license of the weights: run the same command with --license, for example --license CC-BY-4.0"
        )
    if options.sample is None:
        steps.append(
            "set a sample photo for the test, if you may publish one: run the same command with --sample PHOTO"
        )
    if not options.dataset_url and not bundle.manifest.train_config.get("imported"):
        steps.append(
            "set the URL of the training data, if it is available: run the same command with --dataset-url URL"
        )
    steps.append("read README.md, and correct or complete the model card")
    steps.append("push the repository to the hub, and request its listing in the catalogue")
    return tuple(steps)

"""The repository of a child module: the base image with one trained model, as the hub of AI4OS builds and shows it.

The templates are files of `docker/child/`. What a person has changed in a repository since it was written is kept.
"""

import dataclasses
import datetime
import hashlib
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from PIL import Image

from model import durable
from model.addresses import without_credentials
from model.backbones import BACKBONES
from model.bundle import Bundle
from model.dataset.images import looks_like_image, read_content
from model.errors import ConfigError
from model.publishing.card import About, model_card, summary_of
from model.publishing.download import is_this_machine
from model.publishing.photos import draw_photos
from model.publishing.rendering import render
from model.serving.predictor import load_predictor

LICENSE = "LICENSE"
# Of each file that was written, its sha256, of one being replaced both: what differs was changed by a person.
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
_SHA256 = re.compile("[0-9a-fA-F]{64}")
_TAG = re.compile(r"[\w][\w.-]{0,127}")
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._/:-]*[a-z0-9])?")
_SAMPLE_PIXELS = 256
_PROVENANCE = {"mlflow_run": "MLFLOW_RUN", "nomad_job": "NOMAD_JOB_ID"}
_LITE = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
_KERAS = "https://keras.io/api/applications/"
_MEGABYTE = 1_000_000
_SERVICE_MB = 900

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ChildOptions:
    """What only a person can say of a child module.

    Attributes:
        about: title, author, license and summary.
        repository: where its code will be; empty is a repository of its name in the hub.
        base: the image it is built on; without a `/` it is one of ai4oshub.
        tag, gpu_tag: of that image; an empty `gpu_tag` means that there is none for GPUs.
        version: of the child module.
        dataset_url: where the training data can be had; empty where it cannot.
        sample: a photo for the test; None takes a drawn one, for a repository is public.
        expires: the day on which the link to the weights ends, as an ISO date; empty where it does not.
    """

    about: About = dataclasses.field(default_factory=About)
    repository: str = ""
    base: str = "topgraft"
    tag: str = "latest"
    gpu_tag: str = "gpu"
    version: str = "1.0.0"
    dataset_url: str = ""
    sample: Path | None = None
    expires: str = ""


@dataclasses.dataclass(frozen=True)
class ChildModule:
    """What was written: the folder, its files, those kept because a person had changed them, and what is left to do."""

    directory: Path
    files: tuple[str, ...]
    kept: tuple[str, ...]
    to_do: tuple[str, ...]


def write_child_module(
    bundle: Bundle, weights_url: str, sha256: str, directory: Path, options: ChildOptions, git: bool = False
) -> ChildModule:
    """Write the repository into `directory`; where one was written there before, again.

    Args:
        weights_url: of the archive of the model (`model.publishing.archive`): https, or this machine.
        sha256: of that archive.
        git: whether to make it a git repository.

    Raises:
        ConfigError: the URL, sha256, base or tags cannot be used, or the folder holds something else.
    """
    _check(weights_url, sha256, options)
    before = _written_before(directory)
    files = _files(bundle, weights_url, sha256.lower(), options)
    kept = tuple(name for name in files if _is_changed(directory / name, before.get(name, [])))
    ours = {name: content for name, content in files.items() if name not in kept}
    sums = {name: [hashlib.sha256(content).hexdigest()] for name, content in ours.items()}
    directory.mkdir(parents=True, exist_ok=True)
    # First, with the sums of old and new: whoever repeats this after it was killed knows both for ours.
    durable.write_json(directory / WRITTEN, before | {name: [*before.get(name, []), *sums[name]] for name in ours})
    for name, content in ours.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        durable.remove_leftovers(directory / name)
        durable.write_bytes(directory / name, content)
    durable.write_json(directory / WRITTEN, before | sums)
    if git:
        _initialise(directory)
    return ChildModule(directory, tuple(files), kept, _to_do(bundle, options))


def slug_of(title: str) -> str:
    """A title as the name of a repository and an image."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "model"


def _check(weights_url: str, sha256: str, options: ChildOptions) -> None:
    parts = urllib.parse.urlsplit(weights_url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname or ""))
    if not safe or not parts.hostname or parts.username or any(character <= " " for character in weights_url):
        raise ConfigError(
            f"weights-url: expected https://HOST/PATH without a user, received {without_credentials(weights_url)!r}. "
            "Over plain http only this machine itself is taken, for trying it."
        )
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256: expected the 64 hexadecimal digits of the archive, received {sha256!r}.")
    if not _IMAGE.fullmatch(options.base):
        raise ConfigError(f"base: expected the name of an image such as topgraft, received {options.base!r}.")
    for name in (options.tag, options.gpu_tag):
        if name and not _TAG.fullmatch(name):
            raise ConfigError(f"tag: expected a tag of an image such as latest, received {name!r}.")
    if not options.tag:
        raise ConfigError("tag: expected a tag of the base image such as latest, received nothing.")


def _written_before(directory: Path) -> dict[str, list[str]]:
    marker = directory / WRITTEN
    durable.remove_leftovers(marker)
    if marker.is_file():
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    if directory.exists() and (not directory.is_dir() or any(path.name != ".git" for path in directory.iterdir())):
        raise ConfigError(
            f"{directory}: expected a new or empty folder, or a child module written before; it holds something else. "
            "Choose another with --out."
        )
    return {}


def _is_changed(path: Path, written: list[str]) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() not in written


def _files(bundle: Bundle, weights_url: str, sha256: str, options: ChildOptions) -> dict[str, bytes]:
    suffix, photo = _sample(options.sample)
    sample = f"sample{suffix}"
    values = _values(bundle, weights_url, sha256, sample, options)
    folder = templates()
    files = {name: render(template, values, folder).encode() for name, template in _FILES.items()}
    files[LICENSE] = (folder / LICENSE).read_bytes()
    files[f"tests/data/{sample}"] = photo
    files["tests/data/expected.json"] = durable.json_text(_expected(bundle, sample, photo)).encode()
    return dict(sorted(files.items()))


def templates() -> Path:
    """The folder of the templates: in the checkout that an editable installation came from, else where pip put it.

    Raises:
        ConfigError: it is in neither place.
    """
    checkout = Path(__file__).resolve().parents[2] / "docker" / "child"
    places = [checkout, Path(sys.prefix) / "share" / "topgraft" / "child"]
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
        "created": manifest.created[:10] or _today(),
        "updated": _today(),
        "base_model": _base_model(bundle),
        "tags": ["image classification", "transfer learning", "topgraft", manifest.backbone],
        "memory_mb": _SERVICE_MB + 3 * _size(bundle) // _MEGABYTE,
        "storage_mb": 1 + 2 * _size(bundle) // _MEGABYTE,
        "provenance": {name: os.environ[key] for name, key in _PROVENANCE.items() if os.environ.get(key, "").strip()},
        "card": model_card(named, about),
    }


def _description(bundle: Bundle, summary: str) -> str:
    manifest = bundle.manifest
    lines = [
        summary,
        f"Classes: {', '.join(manifest.classes)}.",
        f"It is a network {manifest.backbone} trained by Topgraft, and answers with a probability for each class.",
    ]
    # Line breaks in a name would end the block that this stands in.
    return "\n".join(" ".join("".join(c if c.isprintable() else " " for c in line).split()) for line in lines)


def _base_model(bundle: Bundle) -> str:
    row = BACKBONES.get(bundle.manifest.backbone)
    if row is None or bundle.manifest.train_config.get("weights") == "none":
        return ""
    return _LITE if row.embedded else _KERAS


def _size(bundle: Bundle) -> int:
    return sum(record.size for record in bundle.manifest.files.values())


def _today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def _sample(path: Path | None) -> tuple[str, bytes]:
    """The suffix and the bytes of the photo for the test."""
    if path is not None:
        content = read_content(path)
        if not looks_like_image(content):
            raise ConfigError(f"sample: expected a photo, received {path}.")
        return path.suffix.lower() or ".jpg", content
    picture = Image.open(io.BytesIO(draw_photos(1)[0]))
    picture.thumbnail((_SAMPLE_PIXELS, _SAMPLE_PIXELS))
    stream = io.BytesIO()
    # PNG: every version of a decoder reads the same pixels.
    picture.save(stream, "PNG")
    return ".png", stream.getvalue()


def _expected(bundle: Bundle, sample: str, photo: bytes) -> dict[str, Any]:
    prediction = next(iter(load_predictor(bundle).predict([(sample, photo)])))
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
        reason = getattr(error, "stderr", "") or str(error)
        raise ConfigError(f"git: expected to make {directory} a repository, received: {reason.strip()}.") from error


def _to_do(bundle: Bundle, options: ChildOptions) -> tuple[str, ...]:
    steps = []
    if not options.about.author:
        steps.append('say who made the model: the same command and --author "A. Person; B. Person"')
    if not options.about.license:
        steps.append("say under which license its weights may be used: the same command and --license CC-BY-4.0, say")
    if options.sample is None:
        steps.append("give the test a photo of your own, if you may publish one: the same command and --sample PHOTO")
    if not options.dataset_url and not bundle.manifest.train_config.get("imported"):
        steps.append("say where the training data can be had, if it can: the same command and --dataset-url URL")
    steps.append("read README.md, and put it right where the card knows less than you")
    steps.append("put the repository into the hub, and ask there for it to be listed in the catalogue")
    return tuple(steps)

"""Options of a child module, and their validation."""

import dataclasses
import io
import re
import urllib.parse
from pathlib import Path

from PIL import Image

from model.addresses import is_this_machine
from model.dataset.formats import looks_like_image
from model.dataset.images import decode_image, read_content
from model.errors import ConfigError, ImageError
from model.export.comparison_photos import draw_photos
from model.publishing.card import About
from model.received import quoted
from model.results import InputSpec

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_TAG = re.compile(r"[\w][\w.-]{0,127}")
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._/:-]*[a-z0-9])?")
# No character that would end the link in a text around it.
_URL = re.compile(r"[\w.~:/?#\[\]@!$&'()*+,;=%-]+")
_SAMPLE_PIXELS = 256


@dataclasses.dataclass(frozen=True)
class ChildOptions:
    """Options of a child module.

    Attributes:
        about: title, author, license and summary.
        repository: URL of its code; empty: a repository named after the title in the hub.
        base: base image; without a `/` it is one of ai4oshub.
        tag, gpu_tag: tags of the base image; an empty `gpu_tag` means that there is no image for GPUs.
        version: version of the child module.
        dataset_url: URL of the training data; empty if it is not available.
        sample: photo for the test; None: a synthetic one, because the repository is public.
        expires: last day of the link to the weights, as an ISO date; empty if it does not expire.
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


def check_options(options: ChildOptions) -> None:
    """Check the base image, its tags and the sample.

    Raises:
        ConfigError: base, tags or sample cannot be used.
    """
    if not _IMAGE.fullmatch(options.base):
        raise ConfigError(f"base: expected the name of an image such as topgraft, received {quoted(options.base)}.")
    for name in (options.tag, options.gpu_tag):
        if name and not _TAG.fullmatch(name):
            raise ConfigError(f"tag: expected a tag of an image such as latest, received {quoted(name)}.")
    if not options.tag:
        raise ConfigError("tag: expected a tag of the base image such as latest, received nothing.")
    if options.sample is not None:
        read_sample(options.sample)


def check_weights(weights_url: str, sha256: str) -> None:
    """Check the URL and the sha256 of the weights.

    Raises:
        ConfigError: the URL or the sha256 cannot be used.
    """
    if not is_safe_address(weights_url):
        raise ConfigError(
            f"weights-url: expected https://HOST/PATH without a user, received {quoted(weights_url)}. "
            "Plain http is accepted only for this machine itself, for testing."
        )
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256: expected the 64 hexadecimal digits of the archive, received {quoted(sha256)}.")


def is_safe_address(url: str) -> bool:
    """Whether a URL may be published: https or this machine, and without a user."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host))
    return safe and bool(host) and not parts.username and bool(_URL.fullmatch(url))


def read_sample(path: Path | None) -> tuple[str, bytes]:
    """Suffix and bytes of the photo for the test: the given one, or a synthetic one.

    Raises:
        ConfigError: the file is no photo, or cannot be read.
    """
    if path is None:
        return ".png", _drawn_sample()
    try:
        content = read_content(path)
        decode_image(content, InputSpec.square(1))
    except ImageError as error:
        raise ConfigError(f"sample: expected a photo, received {path}: {error.message}") from error
    if not looks_like_image(content):
        raise ConfigError(f"sample: expected a photo of a common format, such as JPEG or PNG, received {path}.")
    return path.suffix.lower() or ".jpg", content


def _drawn_sample() -> bytes:
    picture = Image.open(io.BytesIO(draw_photos(1)[0]))
    picture.thumbnail((_SAMPLE_PIXELS, _SAMPLE_PIXELS))
    stream = io.BytesIO()
    # PNG: every version of a decoder reads the same pixels.
    picture.save(stream, "PNG")
    return stream.getvalue()

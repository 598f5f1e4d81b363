"""What a person may say of a child module, and what is refused of it."""

import dataclasses
import io
import re
import urllib.parse
from pathlib import Path

from PIL import Image

from model.addresses import without_credentials
from model.dataset.images import decode_image, looks_like_image, read_content
from model.errors import ConfigError, ImageError
from model.export.comparison_photos import draw_photos
from model.publishing.card import About
from model.results import InputSpec
from model.storage.download import is_this_machine

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_TAG = re.compile(r"[\w][\w.-]{0,127}")
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._/:-]*[a-z0-9])?")
_SAMPLE_PIXELS = 256


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


def check_options(options: ChildOptions) -> None:
    """See that an image can be built on the base, and that the sample is a photo.

    Raises:
        ConfigError: base, tags or sample cannot be used.
    """
    if not _IMAGE.fullmatch(options.base):
        raise ConfigError(f"base: expected the name of an image such as topgraft, received {options.base!r}.")
    for name in (options.tag, options.gpu_tag):
        if name and not _TAG.fullmatch(name):
            raise ConfigError(f"tag: expected a tag of an image such as latest, received {name!r}.")
    if not options.tag:
        raise ConfigError("tag: expected a tag of the base image such as latest, received nothing.")
    if options.sample is not None:
        read_sample(options.sample)


def check_weights(weights_url: str, sha256: str) -> None:
    """See that the build of an image may fetch the weights.

    Raises:
        ConfigError: the URL or the sha256 cannot be used.
    """
    if not is_safe_address(weights_url):
        raise ConfigError(
            f"weights-url: expected https://HOST/PATH without a user, received {without_credentials(weights_url)!r}. "
            "Over plain http only this machine itself is taken, for trying it."
        )
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"sha256: expected the 64 hexadecimal digits of the archive, received {sha256!r}.")


def is_safe_address(url: str) -> bool:
    """Whether it is https, or this machine, and holds no user: what may be in a public repository."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host))
    return safe and bool(host) and not parts.username and not any(character <= " " for character in url)


def read_sample(path: Path | None) -> tuple[str, bytes]:
    """The suffix and the bytes of the photo for the test: a person's, or a drawn one.

    Raises:
        ConfigError: it is no photo, or one that cannot be read.
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

"""Backgrounds of synthetic photos: drawn scenes, photos of a folder, or frames of a video."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from model.dataset.image_files import is_image
from model.dataset.images import measure_image, read_content
from model.dataset.pipeline import decode_within_budget, in_threads
from model.errors import DatasetError, ImageError
from model.files.browsing import files_below, has_hidden_part, name_some
from model.results import InputSpec, Progress
from model.shown import counted
from model.synthesis.backgrounds import Size, draw_background
from model.synthesis.video import VIDEO_SUFFIXES, read_frames

PROCEDURAL = "procedural"
"""Value of BACKGROUNDS for drawn scenes."""

MIN_SIDE = 32
"""Minimum width and height of a background in pixels."""

_MAX_SIDE = 1280
# Frames are kept in memory, a hundred of each video.
_MAX_SIDE_OF_FRAME = 640
_KEPT_DECODED = 64
# Part of the width or height of a photo that a scene shows at least.
_MIN_PART = 0.5


class Backgrounds(Protocol):
    """Source of backgrounds; called in threads."""

    @property
    def description(self) -> str:
        """What the backgrounds are, for the user."""

    def draw(self, size: Size, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """A background and its name.

        Args:
            size: height and width in pixels.
            rng: source of all random choices.

        Returns:
            float32 array (height, width, 3), RGB, in [0, 255]; the name of the file, or of the kind.
        """


class DrawnScenes:
    """Drawn streets, walls, foliage and skies."""

    description = "drawn scenes"

    def draw(self, size: Size, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """See `Backgrounds`."""
        return draw_background(size, rng), PROCEDURAL


class Pictures:
    """Random parts of photos or of frames, in the proportions of the scene.

    Args:
        pictures: name -> function that returns the picture, as an RGB image. Sorted by name, one or more.
        description: what they are.
    """

    def __init__(self, pictures: dict[str, Callable[[], Image.Image]], description: str) -> None:
        self._names, self._read = tuple(sorted(pictures)), pictures
        self.description = description

    def draw(self, size: Size, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """See `Backgrounds`."""
        name = self._names[int(rng.integers(len(self._names)))]
        picture = self._read[name]()
        largest = min(picture.width / size[1], picture.height / size[0])
        scale = largest * rng.uniform(_MIN_PART, 1)
        width, height = scale * size[1], scale * size[0]
        left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
        box = (left, top, left + width, top + height)
        part = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC, box, reducing_gap=2)
        return np.asarray(part, np.float32), name


@dataclasses.dataclass(frozen=True)
class FoundBackgrounds:
    """Backgrounds, and the files that are not used.

    Attributes:
        backgrounds: the source.
        unreadable: file -> reason why it cannot be used.
        held_out: files that the caller has excluded.
    """

    backgrounds: Backgrounds
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    held_out: tuple[str, ...] = ()


def find_backgrounds(source: Path | None, excluded: Callable[[str, str], bool], progress: Progress) -> FoundBackgrounds:
    """Find the backgrounds that a path names.

    Args:
        source: folder of photos and videos, a photo, or a video; None for drawn scenes.
        excluded: from the name and the sha256 of a photo to whether it must not be used.
        progress: called with the phase `backgrounds`.

    Raises:
        DatasetError: there is none that can be used; the message says why.
        ConfigError: a video needs a library that is not installed.
    """
    if source is None:
        return FoundBackgrounds(DrawnScenes())
    files = list(files_below(source)) if source.is_dir() else [source]
    folder = source if source.is_dir() else source.parent
    names = [path.relative_to(folder).as_posix() for path in files]
    names = [name for name in names if not has_hidden_part(name)]
    photos = [name for name in names if is_image(folder / name)]
    videos = [name for name in names if name not in photos and Path(name).suffix.lower() in VIDEO_SUFFIXES]
    pictures: dict[str, Callable[[], Image.Image]] = {}
    unreadable: dict[str, str] = {}
    held_out = []
    for name, checked in zip(photos, in_threads(lambda name: _check_photo(folder / name), photos), strict=True):
        if checked.problem:
            unreadable[name] = checked.problem
        elif excluded(name, checked.digest):
            held_out.append(name)
        else:
            pictures[name] = functools.partial(_read_photo, folder / name, checked.digest)
        progress("backgrounds", len(pictures) + len(unreadable) + len(held_out), len(photos))
    for name in videos:
        if excluded(name, ""):
            held_out.append(name)
            continue
        frames = read_frames(folder / name, _MAX_SIDE_OF_FRAME)
        pictures |= {f"{name}#t={seconds:.2f}": functools.partial(_given, frame) for seconds, frame in frames}
    if not pictures:
        raise DatasetError(f"{source}: {_describe_nothing(unreadable, held_out)}")
    return FoundBackgrounds(Pictures(pictures, _describe(pictures, videos)), unreadable, tuple(held_out))


@dataclasses.dataclass(frozen=True)
class _Checked:
    digest: str = ""
    problem: str = ""


def _check_photo(path: Path) -> _Checked:
    try:
        content = read_content(path)
        height, width = measure_image(content)
        # Decoding shows whether the file is whole.
        decode_within_budget(content, InputSpec.square(MIN_SIDE))
    except ImageError as error:
        return _Checked(problem=error.message)
    if min(width, height) < MIN_SIDE:
        return _Checked(problem=f"expected {MIN_SIDE} x {MIN_SIDE} pixels or more, received {width} x {height}")
    return _Checked(hashlib.sha256(content).hexdigest())


@functools.lru_cache(_KEPT_DECODED)
def _read_photo(path: Path, digest: str) -> Image.Image:
    """A photo, at most 1,280 pixels a side.

    Raises:
        DatasetError: the file has changed since it was checked.
    """
    try:
        content = read_content(path)
        if hashlib.sha256(content).hexdigest() != digest:
            raise ImageError("the file has changed")
        height, width = measure_image(content)
        scale = min(1.0, _MAX_SIDE / max(height, width))
        spec = InputSpec(max(1, round(scale * height)), max(1, round(scale * width)))
        return Image.fromarray(decode_within_budget(content, spec).pixels)
    except ImageError as error:
        raise DatasetError(f"{path}: {error.message}. Start again") from error


def _given(frame: Image.Image) -> Image.Image:
    return frame


def _describe(pictures: Collection[str], videos: Collection[str]) -> str:
    frames = sum("#t=" in name for name in pictures)
    parts = [counted(len(pictures) - frames, "photo")] if len(pictures) > frames else []
    parts += [f"{frames:,} frames of {name_some(sorted(videos), 3)}"] if frames else []
    return " and ".join(parts)


def _describe_nothing(unreadable: dict[str, str], held_out: Collection[str]) -> str:
    expected = f"expected photos or a video as backgrounds, or the word {PROCEDURAL}, found"
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        return f"{expected} {len(unreadable):,} that cannot be used, such as {name}: {reason}"
    if held_out:
        return f"{expected} only photos of the validation and test images: {name_some(sorted(held_out))}"
    return f"{expected} none"

"""Frames of a video, read with PyAV: the extra `video`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from model.errors import ConfigError, DatasetError

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ogv", ".3gp"})

MAX_FRAMES = 100
"""Maximum number of frames that are used of a video."""

# With fewer key frames, all frames are decoded, up to a number that takes seconds.
_MIN_KEY_FRAMES = 25
_MAX_DECODED = 3000


def read_frames(path: Path, max_side: int) -> list[tuple[float, Image.Image]]:
    """Evenly spaced frames of a video, at most 100: their times in seconds, and RGB images.

    A video has key frames, which are quick to reach. If it has few of them, all frames are decoded, up to 3,000.

    Args:
        max_side: larger frames are reduced to this width or height, in pixels.

    Raises:
        ConfigError: PyAV is not installed.
        DatasetError: the file has no frames that can be decoded.
    """
    try:
        import av
    except ImportError as error:
        raise ConfigError(
            f'{path}: expected photos as backgrounds, received a video, which needs PyAV: pip install "topgraft[video]"'
        ) from error
    try:
        frames = _evenly(path, max_side, only_key_frames=True)
        if len(frames) < _MIN_KEY_FRAMES:
            frames = _evenly(path, max_side, only_key_frames=False) or frames
    # Errors of FFmpeg are of av.error; damaged streams also raise ValueError and IndexError.
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise DatasetError(f"{path}: expected a video, received one that cannot be decoded: {error}") from error
    if not frames:
        raise DatasetError(f"{path}: expected a video with frames, received one without")
    return frames


def _evenly(path: Path, max_side: int, only_key_frames: bool) -> list[tuple[float, Image.Image]]:
    """Frames at even distances; every second one is dropped whenever there are twice as many as are used."""
    kept: list[tuple[float, Image.Image]] = []
    step = 1
    for number, (seconds, frame) in enumerate(_frames(path, only_key_frames)):
        if number >= _MAX_DECODED:
            break
        if number % step:
            continue
        # Phones store how the camera was held.
        picture = frame.to_image().rotate(getattr(frame, "rotation", 0), expand=True)
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        kept.append((seconds, picture))
        if len(kept) >= 2 * MAX_FRAMES:
            kept, step = kept[::2], 2 * step
    if len(kept) > MAX_FRAMES:
        kept = [kept[at * len(kept) // MAX_FRAMES] for at in range(MAX_FRAMES)]
    return kept


def _frames(path: Path, only_key_frames: bool) -> Iterator[tuple[float, Any]]:
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            return
        stream = container.streams.video[0]
        if only_key_frames:
            stream.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(stream):
            yield float(frame.time or 0.0), frame

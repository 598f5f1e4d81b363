"""Cut-outs and backgrounds that cannot be used, and pictures in unusual forms that can."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import durable
from model.config import TrainConfig
from model.errors import ConfigError, DatasetError
from model.results import no_progress
from model.synthesis import video
from model.synthesis.background_sources import find_backgrounds
from model.synthesis.cutouts import decode_cutout, read_cutouts
from model.synthesis.synthesize import Synthesis, SynthesisOptions, synthesize
from model.workspace import Workspace
from tests.synthesis.cutout_files import COLOURS, draw_disc, origins_of, photo_bytes, write_cutouts, write_real


def read(folder: Path, classes: tuple[str, ...] = (), is_whole: bool = False) -> list[str]:
    return [cutout.name for cutout in read_cutouts(folder, classes, is_whole, no_progress)]


def save(path: Path, image: Image.Image, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def make(tmp_path: Path, **options) -> Synthesis:
    config = TrainConfig(dataset=str(tmp_path / "real"))
    given = SynthesisOptions(2, **options)
    backgrounds = str(tmp_path / "backgrounds") if (tmp_path / "backgrounds").exists() else "procedural"
    return synthesize(str(tmp_path / "cutouts"), backgrounds, tmp_path / "made", given, Workspace(tmp_path), config)


@pytest.mark.parametrize("name", ["palette", "gray", "deep", "deep_gray", "colour_key", "webp", "gif"])
def test_transparency_of_every_kind_is_read(tmp_path: Path, name: str) -> None:
    import imagecodecs

    disc = draw_disc((200, 30, 30))
    path = tmp_path / "red" / f"disc.{name if name in ('webp', 'gif') else 'png'}"
    path.parent.mkdir()
    values = np.asarray(disc)
    if name == "palette":
        disc.quantize(16).save(path)
    elif name == "gray":
        disc.convert("LA").save(path)
    elif name == "deep":
        path.write_bytes(imagecodecs.png_encode(values.astype(np.uint16) * 257))
    elif name == "deep_gray":
        path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(values[..., [0, 3]]).astype(np.uint16) * 257))
    elif name == "colour_key":
        flat = Image.new("RGB", disc.size, (0, 255, 0))
        flat.paste(disc, mask=disc)
        flat.save(path, transparency=(0, 255, 0))
    else:
        disc.save(path)
    [cutout] = read_cutouts(tmp_path, (), False, no_progress)
    decoded = decode_cutout(cutout)
    # Without the empty space around the disc.
    assert decoded.size == (56, 56)
    assert decoded.getpixel((0, 0))[3] == 0
    red, _, blue, alpha = decoded.getpixel((28, 28))
    assert alpha == 255
    assert red == blue if "gray" in name else red > blue + 100


def test_all_unusable_cutouts_are_listed_with_what_to_do(tmp_path: Path) -> None:
    write_cutouts(tmp_path, ("red",))
    save(tmp_path / "red" / "opaque.jpg", Image.new("RGB", (40, 40), "red"))
    save(tmp_path / "red" / "empty.png", Image.new("RGBA", (40, 40)))
    save(tmp_path / "red" / "dot.png", Image.new("RGBA", (1, 1), "red"))
    one = Image.new("RGBA", (40, 40))
    one.putpixel((20, 20), (255, 0, 0, 255))
    save(tmp_path / "red" / "speck.png", one)
    whole = (tmp_path / "red" / "disc0.png").read_bytes()
    (tmp_path / "red" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "red" / "page.png").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(DatasetError) as raised:
        read(tmp_path)
    lines = raised.value.message.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        *("red/dot.png", "red/empty.png", "red/opaque.jpg", "red/page.png", "red/speck.png", "red/truncated.png")
    ]
    assert "found one of 1 x 1" in lines[0]
    assert "only transparent pixels" in lines[1]
    assert "found an opaque picture. Remove its background, for example with rembg" in lines[2]
    assert "found one of 1 x 1" in lines[4]
    assert all("remove it" in line or "--whole" in line for line in lines)


def test_pictures_without_transparency_are_pasted_as_rectangles_on_request(tmp_path: Path) -> None:
    save(tmp_path / "red" / "opaque.jpg", Image.new("RGB", (40, 30), "red"))
    assert read(tmp_path, is_whole=True) == ["red/opaque.jpg"]


def test_a_huge_cutout_is_refused_by_its_header(tmp_path: Path) -> None:
    save(tmp_path / "red" / "huge.png", Image.new("1", (40_000, 40_000)), compress_level=1)
    with pytest.raises(DatasetError, match=r"red/huge\.png: .*takes at most .* save it smaller"):
        read(tmp_path)


@pytest.mark.parametrize("files", [(), ("disc.png",), ("notes.txt",)])
def test_cutouts_without_class_folders_are_refused(tmp_path: Path, files: tuple[str, ...]) -> None:
    for name in files:
        (tmp_path / name).write_bytes(photo_bytes((200, 30, 30), 1) if name.endswith("png") else b"text")
    with pytest.raises(DatasetError, match=r"a folder for each class with its cut-outs, such as .*/stop/1\.png"):
        read(tmp_path)


def test_names_of_classes_are_those_of_the_dataset(tmp_path: Path) -> None:
    write_cutouts(tmp_path, ("red", "Blue"))
    with pytest.raises(DatasetError, match=r"'Blue': expected the name .*\(blue, red\).* Rename it to 'blue'"):
        read(tmp_path, ("blue", "red"))


def test_classes_that_differ_in_case_are_refused_and_odd_names_are_read(tmp_path: Path) -> None:
    for label in ("\N{OCTAGONAL SIGN} stop", "signs/slow"):
        save(tmp_path / label / "1.png", draw_disc((9, 9, 9)))
    assert read(tmp_path) == ["signs/slow/1.png", "\N{OCTAGONAL SIGN} stop/1.png"]
    save(tmp_path / "Signs" / "slow" / "1.png", draw_disc((9, 9, 9)))
    with pytest.raises(DatasetError, match="look alike"):
        read(tmp_path)


def test_a_class_with_a_slash_is_written_and_read_again(tmp_path: Path) -> None:
    save(tmp_path / "cutouts" / "signs" / "slow \N{SNAIL}" / "1.png", draw_disc((9, 9, 9)))
    result = synthesize(
        str(tmp_path / "cutouts"), "procedural", tmp_path / "made", SynthesisOptions(2), Workspace(tmp_path)
    )
    assert result.synthetic == {"signs/slow \N{SNAIL}": 2}
    assert {row["class"] for row in origins_of(tmp_path / "made")} == {"signs/slow \N{SNAIL}"}
    for row in origins_of(tmp_path / "made"):
        assert (tmp_path / "made" / "images" / row["image"]).is_file()


def test_cutouts_of_photos_of_val_and_test_are_left_out(tmp_path: Path) -> None:
    write_real(tmp_path / "real")
    write_cutouts(tmp_path / "cutouts")
    rows = [("blue/7.png", "s3://bucket/held out.jpg"), ("blue/1.png", "s3://bucket/seen.jpg")]
    durable.write_csv(tmp_path / "real" / "origin.csv", ("image", "photo"), rows)
    # By name, as a program that removes backgrounds keeps it; by the photo in a table; and by content.
    save(tmp_path / "cutouts" / "blue" / "7.webp", draw_disc(COLOURS["blue"]))
    save(tmp_path / "cutouts" / "blue" / "1.webp", draw_disc(COLOURS["blue"]))
    save(tmp_path / "cutouts" / "blue" / "mine.png", draw_disc(COLOURS["blue"], 50))
    named = [("blue/mine.png", "/data/upload/1/0a1b2c3d-held_out.jpg"), ("blue/disc0.png", "other.jpg")]
    durable.write_csv(tmp_path / "cutouts" / "origin.csv", ("image", "photo"), named)
    (tmp_path / "cutouts" / "red" / "copy.png").write_bytes((tmp_path / "real/images/red/17.png").read_bytes())
    result = make(tmp_path, whole=True)
    assert sorted(result.held_out) == ["blue/7.webp", "blue/mine.png", "red/copy.png"]
    assert result.cutouts == {"blue": 3, "red": 2}
    photos = {row["cutout"]: row["photo"] for row in origins_of(tmp_path / "made") if row["synthetic"] == "true"}
    assert photos.get("blue/1.webp", "s3://bucket/seen.jpg") == "s3://bucket/seen.jpg"


def test_a_class_whose_cutouts_all_come_from_val_or_test_is_refused(tmp_path: Path) -> None:
    write_real(tmp_path / "real")
    durable.write_csv(tmp_path / "real" / "origin.csv", ("image", "photo"), [("blue/7.png", "a.jpg")])
    write_cutouts(tmp_path / "cutouts", ("red",))
    save(tmp_path / "cutouts" / "blue" / "7.png", draw_disc(COLOURS["blue"]))
    with pytest.raises(DatasetError, match=r"class blue come from photos of val or test.*blue/7\.png"):
        make(tmp_path)


def test_backgrounds_of_val_and_test_unreadable_and_tiny_ones_are_not_used(tmp_path: Path) -> None:
    write_real(tmp_path / "real")
    durable.write_csv(tmp_path / "real" / "origin.csv", ("image", "photo"), [("blue/7.png", "s3://b/photo one.jpg")])
    write_cutouts(tmp_path / "cutouts")
    save(tmp_path / "backgrounds" / "photo_one.jpg", Image.new("RGB", (90, 90), "gray"))
    save(tmp_path / "backgrounds" / "good.jpg", Image.new("RGB", (40, 33), "gray"))
    save(tmp_path / "backgrounds" / "tiny.png", Image.new("RGB", (1, 1)))
    (tmp_path / "backgrounds" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    result = make(tmp_path)
    assert result.backgrounds == "1 photo"
    assert result.held_out == ("photo_one.jpg",)
    assert sorted(result.unreadable) == ["broken.jpg", "tiny.png"]
    backgrounds = {row["background"] for row in origins_of(tmp_path / "made") if row["synthetic"] == "true"}
    assert backgrounds == {"good.jpg"}


@pytest.mark.parametrize("content", [None, b"\xff\xd8\xff\xe0 no photo"])
def test_a_folder_without_a_usable_background_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"expected photos or a video as backgrounds, or the word procedural, found"):
        find_backgrounds(tmp_path, lambda _name, _digest: False, no_progress)


def write_video(path: Path, frames: int = 40) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            image = np.full((48, 64, 3), 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def test_frames_of_a_video_are_backgrounds(tmp_path: Path) -> None:
    write_real(tmp_path / "real")
    write_cutouts(tmp_path / "cutouts")
    (tmp_path / "backgrounds").mkdir()
    write_video(tmp_path / "backgrounds" / "drive.mp4")
    result = make(tmp_path)
    assert result.backgrounds == "40 frames of drive.mp4"
    backgrounds = {row["background"] for row in origins_of(tmp_path / "made") if row["synthetic"] == "true"}
    assert all(name.startswith("drive.mp4#t=") for name in backgrounds)


def test_frames_of_a_long_video_are_evenly_spaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "drive.mp4", 50)
    monkeypatch.setattr(video, "MAX_FRAMES", 8)
    monkeypatch.setattr(video, "_MIN_KEY_FRAMES", 99)
    times = [seconds for seconds, _ in video.read_frames(tmp_path / "drive.mp4", 32)]
    assert len(times) == 8
    assert times[0] == 0
    assert times[-1] > 3
    assert len({round(later - earlier, 3) for earlier, later in itertools.pairwise(times)}) <= 2


def test_a_damaged_video_and_a_missing_library_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(DatasetError, match=r"broken\.mp4: expected a video, received one that cannot be decoded"):
        find_backgrounds(tmp_path / "broken.mp4", lambda _name, _digest: False, no_progress)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ConfigError, match=r"needs PyAV: pip install \"topgraft\[video\]\""):
        find_backgrounds(tmp_path, lambda _name, _digest: False, no_progress)

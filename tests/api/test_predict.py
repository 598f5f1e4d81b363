"""Prediction: every kind of input, every output format, every refusal; no temporary file is left."""

import base64
import csv
import io
import json
import os
import pickle
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marshmallow import Schema
from PIL import Image

import api
from api import errors, plugin
from api.responses import Answer, as_csv, log_progress
from api.uploads import open_photos
from model.bundle import Bundle
from model.results import Prediction
from tests.support.fake_predictor import FakePredictor, Upload
from tests.support.photos import photo
from tests.support.slow_photos import scan_bomb

AddModel = Callable[..., Bundle]
MakeUpload = Callable[..., Upload]


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check that the temporary files of DEEPaaS and of Topgraft are removed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield
    assert list(scratch.iterdir()) == []
    assert list(tmp_path.glob("tmp*")) == []


@pytest.fixture
def trained(add_model: AddModel, loaded: list[str]) -> None:
    add_model("signs")


def data_uri(content: bytes) -> str:
    return "data:;base64," + base64.b64encode(content).decode()


def zip_of(**contents: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name.replace("__", "/") + ".jpg", content)
    return stream.getvalue()


def refusal(**arguments: object) -> errors.ApiError:
    with pytest.raises(errors.ApiError) as raised:
        api.predict(**arguments)
    error = pickle.loads(pickle.dumps(raised.value))
    assert json.loads(error.text) == {"message": str(raised.value)}
    assert str(error)
    return error


@pytest.mark.usefixtures("trained")
def test_a_photo_is_classified(upload: MakeUpload) -> None:
    answer = api.predict(image=upload(photo(255), "my photo.jpg"))
    assert answer == {
        "status": "OK",
        "model": "signs",
        "marks": ["uncertain"],
        "unknown_judged_by": [],
        "labels": ["bright", "other", "dark"],
        "probabilities": [1.0, 0.0, 0.0],
        "predictions": [
            {
                "image": "my photo.jpg",
                "labels": ["bright", "other", "dark"],
                "probabilities": [1.0, 0.0, 0.0],
                "unknown": False,
                "uncertain": False,
            }
        ],
    }
    assert Schema.from_dict(api.schema)().load(json.loads(json.dumps(answer))) == answer


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_the_file_type_is_recognised_by_content_not_by_name(form: str, upload: MakeUpload) -> None:
    answer = api.predict(image=upload(photo(10, form), "archive.zip"))
    assert answer["labels"][0] == "dark"


@pytest.mark.usefixtures("trained")
def test_a_photo_at_a_url_is_classified() -> None:
    assert api.predict(url=data_uri(photo(10)), top_k=1)["labels"] == ["dark"]
    assert api.predict(image="", url=data_uri(zip_of(a=photo())))["predictions"][0]["image"].endswith("a.jpg")


@pytest.mark.usefixtures("trained")
def test_unreadable_images_in_a_zip_get_an_error_each(upload: MakeUpload) -> None:
    content = zip_of(a=photo(10), b=photo(10)[:300], deep__c=photo(255))
    answer = api.predict(image=upload(content, "photo.jpg"))
    assert answer["labels"][0] == "dark"
    first, bad, last = answer["predictions"]
    assert (first["labels"][0], last["labels"][0]) == ("dark", "bright")
    assert set(bad) == {"image", "error"}
    assert "damaged" in bad["error"]


@pytest.mark.usefixtures("trained")
def test_an_unreadable_first_image_does_not_stop_a_zip(upload: MakeUpload) -> None:
    answer = api.predict(image=upload(zip_of(a=b"text", b=photo())))
    assert answer["labels"] == answer["predictions"][1]["labels"] != []
    assert "error" in answer["predictions"][0]
    assert Schema.from_dict(api.schema)().load(answer) == answer


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("accept", ["application/json", "image/png", "text/csv"])
def test_a_photo_that_is_slow_to_decode_is_refused_and_in_a_zip_an_error(
    accept: str, upload: MakeUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_PHOTO_SECONDS", "0.5")
    bomb = scan_bomb(90, 3500)
    with pytest.raises(errors.TooLarge, match="decoding took longer"):
        plugin.predict(image=upload(bomb), accept=accept)
    if accept == "application/json":
        answer = plugin.predict(image=upload(zip_of(a=photo(), b=bomb, c=photo())))
        assert [("decoding took longer" in item.get("error", "")) for item in answer["predictions"]] == [0, 1, 0]


@pytest.mark.usefixtures("trained")
def test_a_zip_without_readable_images_is_refused(upload: MakeUpload) -> None:
    contents = {f"photo{number}": b"text" for number in range(4)} | {"line\nbreak": photo()[:300]}
    error = refusal(image=upload(zip_of(**dict(sorted(contents.items())))))
    assert error.status == 415
    assert re.search(
        r"0 of 5 files can be read: line\\nbreak\.jpg: .*damaged.*; photo0\.jpg: .*; photo1\.jpg: .*; and 2 more",
        str(error),
    )
    assert "\n" not in str(error) and "text/csv" in str(error)
    assert "more" not in str(refusal(image=upload(zip_of(a=b"text"))))


@pytest.mark.usefixtures("trained")
def test_a_table_has_a_row_for_each_unreadable_image(upload: MakeUpload) -> None:
    table = answer_bytes(api.predict(image=upload(zip_of(a=b"text", b=b"more text")), accept="text/csv")).decode()
    assert [row[0] for row in csv.reader(io.StringIO(table))] == ["image", "a.jpg", "b.jpg"]


@pytest.mark.usefixtures("trained")
def test_a_damaged_zip_entry_gets_an_error(upload: MakeUpload) -> None:
    content = bytearray(zip_of(a=photo(10), b=photo(255)))
    content[60] ^= 0xFF
    good, bad = api.predict(image=upload(bytes(content), "photos.zip"))["predictions"]
    assert (good["image"], good["labels"][0]) == ("b.jpg", "bright")
    assert bad["image"] == "a.jpg"
    assert "photos.zip" in bad["error"]
    assert "/tmp" not in bad["error"]


@pytest.mark.usefixtures("trained")
def test_messages_name_the_zip_as_the_client_does(upload: MakeUpload) -> None:
    received = upload(zip_of(a=photo())[:-30], "photos.zip")
    message = str(refusal(image=received))
    assert "photos.zip" in message
    assert received.filename not in message


@pytest.mark.usefixtures("trained")
def test_invalid_utf8_in_a_file_name_is_escaped_in_every_answer_and_error(
    upload: MakeUpload, caplog: pytest.LogCaptureFixture
) -> None:
    """aiohttp makes halves of surrogate pairs of such bytes in a header, which nothing can be written with."""
    caplog.set_level("INFO")
    name = b"\xe9t\xe9\n.jpg".decode(errors="surrogateescape")
    escaped = "\\udce9t\\udce9\\n.jpg"
    assert api.predict(image=upload(photo(), name))["predictions"][0]["image"] == escaped
    table = answer_bytes(api.predict(image=upload(photo(), name), accept="text/csv")).decode()
    assert table.splitlines()[1].startswith(f"{escaped},bright,")
    figure = answer_bytes(api.predict(image=upload(photo(), name), accept="image/png"))
    assert Image.open(io.BytesIO(figure)).size == (1000, 500)
    for content in (b"", zip_of(a=photo())[:-30]):
        error = refusal(image=upload(content, name))
        assert error.status == 400 and escaped in str(error)
    api.predict(image=upload(zip_of(a=photo(), b=b"text"), name))
    assert f"{escaped}: all 2 images" in caplog.text
    assert not [record for record in caplog.records if "\n" in record.getMessage()]


def test_invalid_unicode_in_a_class_name_is_escaped_in_a_table(add_model: AddModel) -> None:
    predictions = iter([Prediction("a.jpg", ("\ud800", "red"), (0.9, 0.1))])
    table = as_csv(Answer(FakePredictor(add_model("signs")), predictions, b"")).read()
    assert table.splitlines()[1] == b"a.jpg,'\\\\ud800,0.900000,false,,,false,,red,0.100000"


def test_the_upload_is_unlinked_before_prediction(upload: MakeUpload) -> None:
    """A worker that is killed leaves nothing behind."""
    received = upload(zip_of(a=photo(), b=photo()))
    with open_photos(received, None) as photos:
        assert not Path(received.filename).exists()
        assert [name for name, _ in photos.images] == ["a.jpg", "b.jpg"]
    with open_photos(None, data_uri(photo())) as photos:
        assert os.listdir(tempfile.gettempdir()) == []
        assert photos.single == photo()


@pytest.mark.usefixtures("trained")
def test_predictions_as_csv(upload: MakeUpload) -> None:
    content = api.predict(image=upload(zip_of(a=photo(255), b=b"text")), accept="text/csv")
    header, first, second = csv.reader(io.StringIO(answer_bytes(content).decode()))
    assert header[:5] == ["image", "label", "probability", "unknown", "error"]
    assert first[:4] == ["a.jpg", "bright", "1.000000", "false"]
    assert (second[0], second[1]) == ("b.jpg", "")
    assert second[4]


@pytest.mark.usefixtures("trained")
def test_the_prediction_is_drawn_as_png(upload: MakeUpload) -> None:
    content = answer_bytes(api.predict(image=upload(photo()), accept="image/png"))
    assert Image.open(io.BytesIO(content)).size == (1000, 500)


@pytest.mark.usefixtures("trained")
def test_a_png_of_a_zip_is_refused_before_any_work(upload: MakeUpload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePredictor, "decode", lambda *args: pytest.fail("an image was decoded"))
    assert refusal(image=upload(zip_of(a=photo(), b=photo())), accept="image/png").status == 400


def answer_bytes(answer: object) -> bytes:
    """The content of an answer that is not JSON: a stream without a name, which survives pickling."""
    assert isinstance(answer, io.BytesIO)
    return pickle.loads(pickle.dumps(answer)).getvalue()


@pytest.mark.usefixtures("trained")
def test_predictions_are_deterministic(upload: MakeUpload) -> None:
    answers = [json.dumps(api.predict(image=upload(photo(77)))) for _ in range(3)]
    assert len(set(answers)) == 1


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"just text", 415),
        (photo()[:300], 415),
        (b"\x89PNG\r\n\x1a\n", 415),
        (b"PK\x05\x06" + b"\0" * 18, 400),
        (b"PK\x03\x04 not a zip", 400),
        (zip_of(a=photo())[:-30], 400),
    ],
)
def test_invalid_uploads_are_refused(content: bytes, status: int, upload: MakeUpload) -> None:
    assert refusal(image=upload(content)).status == status
    assert api.predict(image=upload(photo()))["status"] == "OK"


@pytest.mark.usefixtures("trained")
def test_exactly_one_of_file_and_url_is_required(upload: MakeUpload) -> None:
    assert refusal().status == 400
    assert refusal(image="", url="").status == 400
    assert refusal(image="/etc/passwd").status == 400
    assert refusal(image=b"bytes").status == 400
    assert refusal(image=upload(photo()), url=data_uri(photo())).status == 400


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("file:///etc/passwd", 400),
        ("http://127.0.0.1/", 400),
        ("data:,", 400),
        ("data:,text", 415),
        ("data:,\ud800", 400),
        ("http://example.org/\udfff.jpg", 400),
    ],
)
def test_invalid_urls_are_refused(url: str, status: int) -> None:
    assert refusal(url=url).status == status


@pytest.mark.usefixtures("trained")
def test_an_upload_that_is_too_large_is_refused(upload: MakeUpload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_MAX_UPLOAD_MB", "1")
    large = photo() + bytes(1 << 20)
    assert refusal(image=upload(large)).status == 413
    assert refusal(url=data_uri(large)).status == 413


@pytest.mark.usefixtures("trained")
def test_a_photo_that_is_too_large_is_refused_unread(upload: MakeUpload) -> None:
    received = upload(photo())
    os.truncate(received.filename, 200 << 20)
    assert refusal(image=received).status == 413


@pytest.mark.usefixtures("trained")
def test_an_image_with_too_many_pixels_is_refused(upload: MakeUpload) -> None:
    stream = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(stream, "PNG")
    assert refusal(image=upload(stream.getvalue())).status == 413


@pytest.mark.usefixtures("trained")
def test_unknown_models_and_invalid_fields_are_refused(upload: MakeUpload) -> None:
    missing = refusal(image=upload(photo()), model="nosuch")
    assert (missing.status, "signs" in str(missing)) == (404, True)
    assert refusal(image=upload(photo()), model="../signs").status == 404
    assert refusal(image=upload(photo()), top_k=0).status == 422
    assert refusal(image=upload(photo()), top_k="many").status == 422


@pytest.mark.usefixtures("workspace")
def test_prediction_without_a_model_is_an_error(upload: MakeUpload) -> None:
    error = refusal(image=upload(photo()))
    assert error.status == 503
    assert "train" in str(error)


def test_prediction_without_a_workspace_is_an_error(
    tmp_path: Path, upload: MakeUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path / "gone"))
    assert refusal(image=upload(photo())).status == 503
    assert "TOPGRAFT_HOME" in api.get_metadata()["problem"]
    api.warm()


@pytest.mark.usefixtures("loaded")
def test_warm_up_never_raises(add_model: AddModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    api.warm()
    assert "no model to load" in caplog.text
    add_model("corrupt", content=b"corrupt")
    api.warm()
    assert "could not be loaded" in caplog.text


def test_warm_up_loads_the_latest_model(add_model: AddModel, loaded: list[str], upload: MakeUpload) -> None:
    add_model("signs")
    api.warm()
    api.predict(image=upload(photo()))
    assert loaded == ["signs"]


def test_the_progress_of_a_zip_is_logged_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    times = iter([0.0, *(2.0 * second for second in range(100))])
    predictions = [Prediction(str(index)) for index in range(8)]
    assert list(log_progress(predictions, "photos.zip", 8, clock=lambda: next(times))) == predictions
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("photos.zip: 4 of 8 images, ") and lines[0].endswith(" images/s")
    assert lines[-1].startswith("photos.zip: all 8 images in ") and 2 <= len(lines) <= 4


@pytest.mark.usefixtures("trained")
def test_progress_is_logged_for_a_zip_but_not_for_a_photo(upload: MakeUpload, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    api.predict(image=upload(photo()))
    assert "images/s" not in caplog.text
    api.predict(image=upload(zip_of(a=photo(), b=b"text"), "photos.zip"))
    assert "photos.zip: all 2 images in" in caplog.text


@pytest.mark.slow  # ten thousand images, twice
@pytest.mark.usefixtures("trained")
def test_a_zip_of_ten_thousand_has_a_row_for_each_and_one_more_is_refused(upload: MakeUpload) -> None:
    stream = io.BytesIO()
    tiny = photo(size=(8, 8))
    with zipfile.ZipFile(stream, "w") as archive:
        for index in range(10_000):
            archive.writestr(f"{index}.jpg", tiny if index % 100 else b"text")
    predictions = api.predict(image=upload(stream.getvalue(), "photos.zip"))["predictions"]
    assert [answer["image"] for answer in predictions] == [f"{index}.jpg" for index in range(10_000)]
    assert sum("error" in answer for answer in predictions) == 100
    table = api.predict(image=upload(stream.getvalue(), "photos.zip"), accept="text/csv").read()
    assert table.count(b"\n") == 10_001
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("10000.jpg", tiny)
    assert refusal(image=upload(stream.getvalue(), "photos.zip")).status == 413

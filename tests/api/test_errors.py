"""Errors reach the client as JSON, survive pickling between worker and server, and all have an HTTP status."""

import inspect
import json
import pickle

import pytest

from api import errors as api_errors
from api.errors import HTTP_ERRORS, ApiError, InternalError, NotAcceptable, TryAgain, as_http_errors, to_http
from model import errors

API_CLASSES = sorted(set(HTTP_ERRORS.values()) | {InternalError}, key=lambda known: known.__name__)
MESSAGE = 'expected "a photo", received\n30,000 ä 30,000 pixels'


@pytest.mark.parametrize("error_class", API_CLASSES)
def test_http_errors_survive_pickling(error_class: type[ApiError]) -> None:
    error = pickle.loads(pickle.dumps(error_class(MESSAGE)))
    assert type(error) is error_class
    assert str(error) == error.message == MESSAGE
    assert error.content_type == "application/json"
    assert json.loads(error.text) == {"message": MESSAGE}
    assert error.status >= 400


@pytest.mark.parametrize("error_class", API_CLASSES)
def test_invalid_unicode_in_an_error_message_is_escaped(error_class: type[ApiError]) -> None:
    error = pickle.loads(pickle.dumps(error_class("received \udce9t\udce9.jpg")))
    assert json.loads(error.body) == {"message": "received \\udce9t\\udce9.jpg"} == {"message": str(error)}


def test_every_error_of_the_library_is_translated() -> None:
    known = {value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__}
    assert known == set(HTTP_ERRORS)


def test_every_http_error_is_used() -> None:
    defined = {
        value
        for _, value in inspect.getmembers(api_errors, inspect.isclass)
        if issubclass(value, ApiError) and value is not ApiError
    }
    # A content type is negotiated before the library is called.
    assert defined == {*HTTP_ERRORS.values(), NotAcceptable}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigError("x"), 422),
        (errors.DatasetError("x"), 400),
        (errors.FetchError("x"), 400),
        (errors.FetchTooLargeError("x"), 413),
        (errors.ImageError("x"), 415),
        (errors.ImageTooLargeError("x"), 413),
        (errors.ImageNotSupportedError("x"), 415),
        (errors.ModelNotFoundError("x"), 404),
        (errors.NothingTrainedError("x"), 503),
        (errors.TrainingError("x"), 500),
    ],
)
def test_each_error_has_its_http_status(error: errors.TopgraftError, status: int) -> None:
    assert to_http(error).status == status


def test_an_unknown_subclass_gets_the_status_of_its_nearest_base_class() -> None:
    class NewImageError(errors.ImageError):
        pass

    assert to_http(NewImageError("x")).status == 415


def test_any_other_exception_becomes_a_logged_500(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InternalError, match="KeyError") as raised, as_http_errors():
        raise KeyError("surprise")
    assert pickle.loads(pickle.dumps(raised.value)).status == 500
    assert "Traceback" in caplog.text


def test_insufficient_memory_is_reported() -> None:
    with pytest.raises(TryAgain, match="Send less at a time"), as_http_errors():
        raise MemoryError


def test_retry_after_is_sent_only_for_temporary_errors() -> None:
    passing = pickle.loads(pickle.dumps(TryAgain("short of memory")))
    assert (passing.status, passing.headers["Retry-After"].isdecimal()) == (503, True)
    damaged = to_http(errors.ModelDamagedError("repair it"))
    assert (damaged.status, "Retry-After" in damaged.headers) == (503, False)


@pytest.mark.parametrize("error_class", [value for value in HTTP_ERRORS])
def test_errors_of_the_library_survive_pickling(error_class: type[errors.TopgraftError]) -> None:
    error = pickle.loads(pickle.dumps(error_class(MESSAGE)))
    assert (type(error), str(error)) == (error_class, MESSAGE)

"""Errors of a training that is started by the API: of its options, and of other libraries."""

import pickle

import pytest

import api
from api import plugin


@pytest.mark.usefixtures("workspace")
def test_train_validates_its_options() -> None:
    """deepaas-cli does not validate them."""
    with pytest.raises(Exception, match="epochs") as raised:
        api.train(epochs=-1, dataset="")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.usefixtures("workspace")
def test_an_error_of_another_library_in_train_survives_pickling(monkeypatch: pytest.MonkeyPatch) -> None:
    class UnpicklableError(Exception):
        def __init__(self, first: str, second: str) -> None:
            super().__init__(first + second)

    def fail(*args: object) -> None:
        raise UnpicklableError("disk ", "on fire")

    monkeypatch.setattr(plugin, "train_config", fail)
    with pytest.raises(Exception, match="disk on fire") as raised:
        api.train(dataset="x")
    assert "disk on fire" in str(pickle.loads(pickle.dumps(raised.value)))

"""Received values in messages: short, cheap, and without credentials, however they were received."""

import time
from typing import Any

import pytest

from model import schema
from model.addresses import redacted, without_credentials
from model.cli.command import main
from model.config import PredictConfig, TrainConfig, options_of
from model.errors import ConfigError
from model.received import MAX_QUOTED, quoted, similar
from tests.support.slowness import slowness

LARGE = 1_000_000
SECRET = "c2lnbmF0dXJl"
TEXTS = [name for name, (field, _) in options_of(TrainConfig).items() if isinstance(field.default, str)]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value, value]
    return value


VALUES = {
    "text": "x" * LARGE,
    "escapes": "\x00" * LARGE,
    "surrogates": "\ud800" * 1000,
    "quotes": "'\"" * 1000,
    "bytes": b"\xff" * LARGE,
    "integer": 7 ** (1 << 16),
    "list": ["x" * 1000] * 100_000,
    "dict": {f"key {number}" * 100: number for number in range(10_000)},
    "deep": nested(40),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_large_value_is_quoted_shortly_and_quickly(value: object) -> None:
    start = time.perf_counter()
    assert len(quoted(value)) <= MAX_QUOTED
    assert time.perf_counter() - start < 0.5 * slowness()


def test_a_short_value_is_quoted_as_python_writes_it() -> None:
    for value in ("pets", 7, None, 1.5, ["a", 2], {"a": None}, "it's", "a\nb", float("nan")):
        assert quoted(value) == repr(value)
    assert quoted("x" * 250).endswith("...' (250 characters)")


def test_similar_values_are_searched_for_short_texts_only() -> None:
    assert similar("efficientnetlte0", ["efficientnetlite0", "resnet50"]) == ["efficientnetlite0"]
    start = time.perf_counter()
    assert similar("x" * LARGE, ["x" * 100] * 100) == []
    assert time.perf_counter() - start < 0.1 * slowness()


@pytest.mark.parametrize(
    "address",
    [
        f"https://host.example/path?X-Amz-Signature={SECRET}",
        f"https://host.example/path#access_token={SECRET}",
        f"https://host.example/path?{SECRET}",
        f"https://host.example/path?to=https://other.example/x&sig={SECRET}",
        f"https://user:{SECRET}@host.example/path",
        f"https://user:pa@{SECRET}@host.example/path",
        f"https://user:pa/{SECRET}@host.example/path",
        f"https://user:pa?{SECRET}@host.example/path",
        f"https://user:pa#{SECRET}@host.example/path",
        f"https://{SECRET}@host.example/path?a=1",
        f"HTTPS://HOST.example/path?SIG={SECRET}",
        f"host.example/path?sig={SECRET}",
        f"//host.example/path?sig={SECRET}",
        f"rclone://user:{SECRET}@host.example/path",
    ],
)
def test_secrets_of_an_address_are_not_shown(address: str) -> None:
    shown = without_credentials(address)
    assert SECRET not in shown
    assert "host.example/path" in shown.lower()
    for text in (
        f"GET {address}: 403",
        f'received "{address}".',
        f"HTTPSConnectionPool(host='h'): Max retries exceeded with url: /path?{SECRET} (Caused by x)",
        f"Max retries exceeded with url: /path?sig={SECRET}",
    ):
        assert SECRET not in redacted(text)
    assert SECRET not in quoted(address)
    assert SECRET not in quoted([address])


@pytest.mark.parametrize(
    "text", ["rshare:photos/a", r"(?P<a>\d+)(?=x=1)", "a/b@c", "http://host:80/p", "really? yes = no"]
)
def test_other_texts_are_unchanged(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_option_has_a_maximum_length(name: str) -> None:
    longest = options_of(TrainConfig)[name][1].max_length
    assert longest is not None and longest <= 4096
    with pytest.raises(ConfigError) as error:
        schema.load(TrainConfig, {name: "é" * (longest + 1)})
    assert name in error.value.message and len(error.value.message) < 20 * MAX_QUOTED
    assert "é" * MAX_QUOTED not in error.value.message


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("config_class", [TrainConfig, PredictConfig])
def test_a_message_about_large_values_is_short(config_class: type, value: object) -> None:
    start = time.perf_counter()
    with pytest.raises(ConfigError) as error:
        schema.load(config_class, dict.fromkeys(options_of(config_class), value))
    assert len(error.value.message) < 3 * MAX_QUOTED * len(options_of(config_class))
    assert time.perf_counter() - start < 3 * slowness()


def test_many_unknown_options_are_not_all_listed() -> None:
    with pytest.raises(ConfigError, match="And 9,950 more") as error:
        schema.load(TrainConfig, {f"option{number}" + "x" * 1000: 1 for number in range(10_000)})
    assert len(error.value.message) < 100_000


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\n" + "".join(f"c{n}: [*b, *b]\n" for n in range(9))
FILES = {
    "aliases": BOMB,
    "merged mappings": "a: &a {k: v}\nb: {<<: [*a, *a, *a]}\n",
    "deep": "a: " + "[" * 20_000,
    "large": "#" * (1 << 20),
    "long text": "backbone: " + "x" * 100_000,
    "long name": "x" * 100_000 + ": 1",
    "long integer": "epochs: " + "1" * 50_000,
    "long list": "epochs: [" + "1," * 20_000 + "]",
    "no mapping": "- " + "x" * 100_000,
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_hostile_configuration_file_is_refused_shortly(content: str, tmp_path: Any) -> None:
    file = tmp_path / "options.yaml"
    file.write_text(content)
    start = time.perf_counter()
    with pytest.raises(ConfigError) as error:
        schema.load(TrainConfig, schema.load_file(file))
    assert len(error.value.message) < 2000
    assert time.perf_counter() - start < 5 * slowness()


@pytest.mark.parametrize(
    "arguments",
    [
        ["x" * 10_000],
        ["train", "--" + "x" * 10_000],
        ["train", "x" * 10_000],
        ["train", "--backbone", "x" * 10_000],
        ["train", "--epochs", "x y" * 10_000],
        ["serve", "--port", "x y" * 10_000],
        ["models", "remove", "x" * 10_000],
        ["resume", "x" * 10_000],
    ],
    ids=lambda arguments: " ".join(one[:10] for one in arguments),
)
def test_the_command_quotes_long_arguments_shortly(
    arguments: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("TOPGRAFT_HOME", str(tmp_path))
    assert main(arguments) != 0
    assert len(capsys.readouterr().err) < 2500

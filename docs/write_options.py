"""Write docs/options.md from the options stated in model/config.py. Run it after changing them."""

import typing
from pathlib import Path
from typing import Any

from model import durable
from model.config import PredictConfig, TrainConfig, options_of
from model.option import OptionInfo

PAGE = Path(__file__).with_name("options.md")
INTRODUCTION = """\
# Options

Written by `docs/write_options.py` from `model/config.py`; do not edit.

An option has the same name everywhere: a field in Swagger UI, `--image-size 260` on the command line,
`image_size: 260` in a file given by `--config`. The command line wins over the file, the file over the default.
"""


def options_page() -> str:
    """The whole page, as Markdown."""
    training = options_of(TrainConfig)
    basic = [name for name, (_, info) in training.items() if not info.advanced]
    advanced = [name for name in training if name not in basic]
    parts = [
        INTRODUCTION,
        _table("## Training", TrainConfig, basic),
        _table("### Advanced options", TrainConfig, advanced),
        _table("## Prediction", PredictConfig, list(options_of(PredictConfig))),
    ]
    return "".join(parts)


def _table(title: str, config_class: type, names: list[str]) -> str:
    hints = typing.get_type_hints(config_class)
    rows = [f"\n{title}\n\n| option | type | default | meaning |\n|---|---|---|---|\n"]
    for name in names:
        field, info = options_of(config_class)[name]
        default = "" if field.default in (None, "") else f"`{field.default}`"
        rows.append(f"| `{name}` | {_kind(hints[name], info)} | {default} | {_meaning(info)} |\n")
    return "".join(rows)


def _kind(hint: Any, info: OptionInfo) -> str:
    if info.choices is not None:
        return "choice"
    words = {bool: "yes or no", int: "whole number", float: "number", str: "text"}
    return next(word for kind, word in words.items() if hint is kind or kind in typing.get_args(hint))


def _meaning(info: OptionInfo) -> str:
    meaning = info.help.replace("|", "\\|")
    if info.minimum is not None and info.maximum is not None:
        meaning += f" From {info.minimum:.10g} to {info.maximum:.10g}."
    if info.max_length is not None and info.choices is None:
        meaning += f" At most {info.max_length:,} characters."
    if info.choices is not None:
        meaning += f" One of: {', '.join(f'`{choice}`' for choice in info.choices)}."
    return meaning


if __name__ == "__main__":
    durable.write_text(PAGE, options_page())

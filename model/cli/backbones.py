"""`topgraft backbones`: the networks that a model can be trained on, and how to add one."""

import dataclasses
import typing
from collections.abc import Iterable
from pathlib import Path

import click

from model.added_backbones import OwnScaling
from model.backbones import BACKBONES, find_backbone
from model.cli.options import LocalPath, json_option
from model.cli.output import print_json, print_line, print_lines
from model.errors import ConfigError

_Row = tuple[str, str, str, str]


@click.group()
def backbones() -> None:
    """Show the pretrained networks, and add networks of your own."""


@backbones.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the networks that the option --backbone selects.

    Size is the height and width of the photos in pixels. Weights are installed with Topgraft, on this machine
    already, downloaded on first use, or added by you.
    """
    from model.added_backbones import added_backbones

    rows = [*_of_table(), *(dataclasses.asdict(one) | {"weights": "added"} for one in added_backbones())]
    if as_json:
        print_json(rows)
    else:
        shown = [(row["name"], str(row["image_size"]), row["weights"], row.get("license", "")) for row in rows]
        print_lines(_columns([("name", "size", "weights", "license"), *shown]))


@backbones.command("add")
@click.argument("file", type=LocalPath(path_type=Path))
@click.option("--name", default="", metavar="TEXT", help="Name for --backbone.  [default: that of the file]")
@click.option(
    "--features-output",
    default="",
    metavar="TEXT",
    help="Tensor of the network with the features.  [default: its only output]",
)
@click.option(
    "--scaling",
    type=click.Choice(typing.get_args(OwnScaling)),
    default="torch",
    show_default=True,
    help="Scaling of pixels x from 0 to 255. torch: x / 255, normalised as for ImageNet; clip: as for CLIP; "
    "tf: -1 to 1; unit: 0 to 1; lite: (x - 127) / 128; none: the network scales them itself.",
)
@click.option(
    "--image-size",
    type=click.IntRange(32, 1024),
    metavar="N",
    help="Height and width of its photos in pixels.  [default: those that the network states]",
)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "first"]),
    default="mean",
    show_default=True,
    help="Features of a vision transformer that returns a sequence: the mean over the photo, or the first, its class "
    "token.",
)
@click.option(
    "--architecture",
    default="",
    metavar="TEXT",
    help="Network that the weights in FILE are for, such as EfficientNetB0, if FILE is not a network in ONNX.",
)
@click.option("--license", default="", metavar="TEXT", help="License of its weights, for the card of your models.")
@json_option
def add_command(
    file: Path,
    name: str,
    features_output: str,
    scaling: OwnScaling,
    image_size: int | None,
    pooling: typing.Any,
    architecture: str,
    license: str,
    as_json: bool,
) -> None:
    """Add a feature network in ONNX, such as DINOv2, MobileCLIP, SigLIP or BioCLIP.

    FILE is one file with all weights. It is checked in a process of its own, and treated as data,
    never as code. Train with --backbone NAME afterwards; the network becomes a part of each model.

    With --architecture, FILE has other weights of a network of the list, without its top, as Keras
    saves them (.weights.h5 or .h5). FILE may also be the ImageNet weights that topgraft backbones
    fetch has downloaded on another machine, under the same name, such as convnext_tiny_notop.h5.
    """
    if not file.is_file():
        raise ConfigError(f"{file}: expected a file, found none")
    if file.suffix == ".h5" and not architecture:
        _place(file, as_json)
        return
    from model.importing.backbone_import import add_backbone, add_weights
    from model.networks.feature_network import FeatureNetworkOptions

    options = FeatureNetworkOptions(features_output, scaling, image_size, pooling)
    name = name or file.stem.removesuffix(".weights")
    if architecture:
        record = add_weights(file, name, architecture, license)
    else:
        record = add_backbone(file, name, options, license)
    if as_json:
        print_json(dataclasses.asdict(record))
        return
    print_line(
        f"Added {record.name}: photos of {record.image_size} by {record.image_size} pixels, "
        f"{record.features:,} features"
    )
    print_line(f"Train with it: topgraft train --backbone {record.name}")


def _place(file: Path, as_json: bool) -> None:
    from model.networks.fetched_weights import place_weights

    backbone, path = place_weights(file)
    if as_json:
        print_json({"name": backbone.name, "weights": str(path)})
    else:
        print_line(f"The weights of {backbone.name} are in {path}")


@backbones.command("remove")
@click.argument("name")
@json_option
def remove_command(name: str, as_json: bool) -> None:
    """Remove a network that you added. Models trained with it go on working."""
    from model.importing.backbone_import import remove_backbone

    remove_backbone(name)
    if as_json:
        print_json({"removed": name})
    else:
        print_line(f"Removed {name}")


@backbones.command("fetch")
@click.argument("name")
@json_option
def fetch_command(name: str, as_json: bool) -> None:
    """Download the weights of a network now, instead of on first use.

    The file can be copied to a machine without a network: topgraft backbones add FILE.
    """
    from model.networks.fetched_weights import fetch_weights

    backbone = find_backbone(name)
    file = fetch_weights(backbone)
    if as_json:
        print_json({"name": backbone.name, "weights": None if file is None else str(file)})
        return
    print_line(f"The weights of {backbone.name} are " + ("on this machine" if file is None else f"in {file}"))


def _of_table() -> Iterable[dict[str, typing.Any]]:
    from model.networks.keras_weights import weights_file

    for backbone in BACKBONES.values():
        if backbone.embedded:
            weights = "installed"
        else:
            weights = "on this machine" if weights_file(backbone).is_file() else "downloaded on first use"
        yield {"name": backbone.name, "image_size": backbone.image_size, "weights": weights}


def _columns(rows: list[_Row]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

"""A folder of synthetic features, in the form that `topgraft featurize` writes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from model import durable
from model.config import TrainConfig
from model.results import Split
from model.scale.chunks import PLAN, Photo, Plan
from model.scale.files import File
from model.scale.network import backbone_network
from model.scale.parts import SUCCESS, Row, part_content, part_name
from tests.support.feature_parts import SyntheticParts


def write_feature_folder(folder: Path, splits: Mapping[Split, SyntheticParts]) -> None:
    """Write the rows of each split as parts; their network is EfficientNetLite0."""
    folder.mkdir(parents=True)
    network, any_split = backbone_network(TrainConfig()), next(iter(splits.values()))
    classes = tuple(f"class{label:03}" for label in range(any_split.classes))
    chunks = sum(parts.parts for parts in splits.values())
    plan = Plan(
        source="/nowhere",
        photos=sum(int(parts.sizes.sum()) for parts in splits.values()),
        chunks=chunks,
        chunk_photos=any_split.rows,
        chunk_bytes=1,
        classes=classes,
        listing_sha256="",
        splits={},
        network=network.name,
        manifest_sha256="",
        graph_sha256=network.sha256,
        features=any_split.features,
        image_size=network.spec.height,
        resize=network.spec.resize,
        intensity=network.spec.intensity,
        versions={},
    )
    durable.write_text(folder / PLAN, plan.text)
    numbered = ((split, parts, part) for split, parts in splits.items() for part in range(parts.parts))
    for number, (split, parts, part) in enumerate(numbered):
        rows = []
        for row, (features, label) in enumerate(zip(*parts.read(part), strict=True)):
            name = f"{split}/{part:05}-{row:05}.jpg"
            photo = Photo(File(name.encode(), 1, ""), classes[label], split)
            rows.append(Row(photo, features, 320, 240, hashlib.sha256(name.encode()).hexdigest()))
        durable.write_bytes(folder / part_name(number), part_content(rows, number, plan.sha256))
    durable.write_text(folder / SUCCESS, "{}\n")

"""Pointing game (Zhang et al., 2018): the class activation map is highest at the object whose place is known."""

import pytest

from model.backbones import BACKBONES
from model.networks.keras_weights import ready_backbones
from tests.support.pointing_game import TEST, TRAIN, Photos, composed, play

FAST = "EfficientNetLite0"


@pytest.fixture(scope="module")
def photos() -> tuple[Photos, Photos]:
    """Photos to train with, and 40 others."""
    return composed(TRAIN), composed(TEST)


# The figures of the backbones with weights on the machine are in docs/benchmarks.md.
@pytest.mark.parametrize(
    "name", [name if name == FAST else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES]
)
def test_the_activation_map_points_at_the_object(name: str, photos: tuple[Photos, Photos]) -> None:
    backbone = BACKBONES[name]
    if backbone not in ready_backbones():
        pytest.skip(f"the ImageNet weights of {name} are not on this machine")
    hits = play(backbone, *photos)
    assert len(hits.own) == 40 and hits.own.mean() > 0.8
    assert hits.of_others.mean() < 0.5

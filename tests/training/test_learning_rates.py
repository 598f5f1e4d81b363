"""Learning-rate schedule, layer-wise rates, and averaged weights."""

import keras
import numpy as np
import pytest
from keras import layers

from model.backbones import BACKBONES
from model.networks.network import copy_network, cut_at_last_block, stages
from model.networks.pretrained import build_backbone
from model.training.fine_tuning.learning_rates import LayerwiseAdam, factors_by_depth, learning_rate


def test_the_rate_warms_up_then_falls_as_a_cosine_and_never_reaches_zero():
    rates = [learning_rate(step, 100, 1e-3) for step in range(100)]
    assert rates[:10] == pytest.approx(np.linspace(1e-4, 1e-3, 10))
    assert np.all(np.diff(rates[9:]) < 0) and 0 < rates[-1] < 1e-6
    assert rates[54] == pytest.approx(5e-4, rel=0.05)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_learn_too(steps):
    rates = [learning_rate(step, steps, 1e-3) for step in range(steps)]
    assert rates[0] == 1e-3 and min(rates) > 0


@pytest.mark.parametrize(
    "name", ["EfficientNetLite0", "EfficientNetLite0And2", "MobileNetV3Small", "ResNet50", "ConvNeXtTiny"]
)
def test_a_backbone_has_a_stage_for_each_resolution(name):
    backbone = copy_network(build_backbone(BACKBONES[name], 96, "none"))
    found = stages(backbone)
    weighted = {id(layer) for stage in found for layer in stage}
    assert 4 <= len(found) <= 6
    assert len(weighted) == sum(map(len, found))
    assert {id(weight) for stage in found for layer in stage for weight in layer.trainable_weights} == {
        id(weight) for weight in backbone.trainable_weights
    }


def test_the_deeper_below_the_head_the_slower():
    backbone = build_backbone(BACKBONES["EfficientNetLite0"], 64, "none")
    block = copy_network(backbone)
    network = keras.Model(block.input, layers.Dense(3, name="answer")(layers.GlobalAveragePooling2D()(block.output)))
    of_paths = {
        variable.path.split("/")[-2].split("_")[0]: factor
        for variable, factor in zip(network.trainable_variables, factors_by_depth(network, block), strict=True)
    }
    inward = [of_paths[name] for name in ("block15", "block10", "block4", "block2", "stem")]
    assert of_paths["answer"] == 1
    np.testing.assert_allclose(inward, [2.6**-depth for depth in (1, 2, 3, 4, 5)])


@pytest.mark.parametrize("name", ["EfficientNetLite0", "EfficientNetLite0And2"])
def test_a_last_block_is_one_stage(name):
    block = copy_network(cut_at_last_block(build_backbone(BACKBONES[name], 64, "none"))[1])
    network = keras.Model(block.input, layers.Dense(3, name="dense")(layers.GlobalAveragePooling2D()(block.output)))
    factors = factors_by_depth(network, block)
    assert factors[-2:] == [1.0, 1.0] and set(factors[:-2]) == {1 / 2.6}


def test_steps_are_those_of_adam_with_a_rate_for_each_weight_and_an_average():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=2).astype(np.float32)]
    gradients = [[rng.normal(size=value.shape).astype(np.float32) for value in start] for _ in range(5)]
    ours = [keras.Variable(value) for value in start]
    layerwise = LayerwiseAdam([0.25, 1.0], average_momentum=0.8, learning_rate=0.1)
    layerwise.build(ours)
    averages = [value.copy() for value in start]
    plain = [keras.Variable(value) for value in start]
    adams = [keras.optimizers.Adam(0.1 * factor) for factor in (0.25, 1.0)]
    for step in gradients:
        layerwise.apply([keras.ops.convert_to_tensor(gradient) for gradient in step], ours)
        for adam, gradient, variable in zip(adams, step, plain, strict=True):
            adam.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        averages = [0.8 * old + 0.2 * np.array(new) for old, new in zip(averages, plain, strict=True)]
    for variable, expected in zip([*ours, *layerwise.averages], [*map(np.array, plain), *averages], strict=True):
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-5, atol=1e-6)

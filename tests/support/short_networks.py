"""Networks of `keras.applications` with one block of each kind: they have the operators of the whole ones."""

from collections.abc import Callable

import keras
from keras.src.applications import densenet, nasnet, resnet


def _dense_net(**options: object) -> keras.Model:
    return densenet.DenseNet([1, 1, 1, 1], **options)


def _res_net(**options: object) -> keras.Model:
    def stacks(x: keras.KerasTensor) -> keras.KerasTensor:
        x = resnet.stack_residual_blocks_v1(x, 16, 2, stride1=1, name="conv2")
        return resnet.stack_residual_blocks_v1(x, 32, 2, name="conv3")

    return resnet.ResNet(stacks, False, True, **options)


def _res_net_v2(**options: object) -> keras.Model:
    def stacks(x: keras.KerasTensor) -> keras.KerasTensor:
        x = resnet.stack_residual_blocks_v2(x, 16, 2, name="conv2")
        return resnet.stack_residual_blocks_v2(x, 32, 2, stride1=1, name="conv3")

    return resnet.ResNet(stacks, True, True, **options)


def _nas_net(**options: object) -> keras.Model:
    cells = {"penultimate_filters": 96, "num_blocks": 1, "stem_block_filters": 32}
    return nasnet.NASNet(**cells, skip_reduction=False, filter_multiplier=2, **options)


SHORT: dict[str, Callable[..., keras.Model]] = {
    "DenseNet121": _dense_net,
    "ResNet50": _res_net,
    "ResNet50V2": _res_net_v2,
    "NASNetMobile": _nas_net,
}
"""Names in `keras.applications` -> functions to put in their place."""

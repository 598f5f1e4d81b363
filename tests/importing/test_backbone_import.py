"""Adding a feature network in ONNX: what it computes, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from model.added_backbones import added_backbones, added_content, find_added
from model.errors import ConfigError, ModelError, WeightsError
from model.features.onnx_session import FEATURE_MAP, FEATURES, IMAGE, open_session
from model.importing.backbone_import import add_backbone, remove_backbone
from model.importing.untrusted_backbone import adapt_untrusted
from model.networks.feature_network import FeatureNetworkOptions
from tests.support.feature_networks import CHANNELS, SIZE, convolutional, transformer
from tests.support.hostile_networks import (
    claimed_values,
    content_decides_the_size,
    endless_loop,
    huge_padding,
    huge_resize,
    many_operators,
    other_domain,
    repeated_convolution,
)

HOSTILE = (
    endless_loop,
    other_domain,
    claimed_values,
    huge_padding,
    huge_resize,
    repeated_convolution,
    many_operators,
    content_decides_the_size,
)
IMAGES = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
TORCH = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))
SCALED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "lite": lambda pixels: (pixels - 127) / 128,
    "tf": lambda pixels: pixels / 127.5 - 1,
    "torch": lambda pixels: (pixels / 255 - TORCH[0]) / TORCH[1],
    "clip": lambda pixels: (pixels / 255 - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711],
    "unit": lambda pixels: pixels / 255,
    "none": lambda pixels: pixels,
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPGRAFT_BACKBONES", str(tmp_path / "backbones"))


def _write(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _adapted(model: onnx.ModelProto, folder: Path, **options: object) -> onnxruntime.InferenceSession:
    adapted = adapt_untrusted(_write(model, folder), FeatureNetworkOptions(**options), folder)
    assert (adapted.image_size, adapted.features) == (SIZE, CHANNELS)
    return open_session(adapted.content)


def _original(model: onnx.ModelProto, output: str, pixels: np.ndarray, channels_first: bool = True) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = pixels.transpose(0, 3, 1, 2) if channels_first else pixels
    rows = [session.run([output], {"pixel_values": image[None].astype(np.float32)})[0] for image in images]
    return np.concatenate(rows)


@pytest.mark.parametrize("scaling", SCALED)
def test_pixels_are_scaled_as_the_network_expects(scaling: str, tmp_path: Path) -> None:
    model = convolutional()
    session = _adapted(model, tmp_path, features_output="pooled", scaling=scaling)
    expected = _original(model, "pooled", SCALED[scaling](IMAGES.astype(np.float64)))
    np.testing.assert_allclose(session.run([FEATURES], {IMAGE: IMAGES})[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("opset", [13, 17, 18, 20])
@pytest.mark.parametrize("channels_first", [True, False])
def test_a_map_is_averaged_and_kept(batch: int | str, opset: int, channels_first: bool, tmp_path: Path) -> None:
    model = convolutional(batch, channels_first=channels_first, opset=opset)
    session = _adapted(model, tmp_path, features_output="map", scaling="none")
    expected = _original(model, "map", IMAGES, channels_first)
    expected = expected.transpose(0, 2, 3, 1) if channels_first else expected
    features, feature_map = session.run([FEATURES, FEATURE_MAP], {IMAGE: IMAGES})
    np.testing.assert_allclose(feature_map, expected, rtol=1e-4)
    np.testing.assert_allclose(features, expected.mean((1, 2)), rtol=1e-4)


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("class_token", [True, False])
def test_a_sequence_is_averaged_over_the_positions_of_the_image(
    batch: int | str, class_token: bool, tmp_path: Path
) -> None:
    model = transformer(batch, class_token)
    session = _adapted(model, tmp_path, scaling="unit")
    tokens = _original(model, "last_hidden_state", IMAGES / 255)[:, 1 if class_token else 0 :]
    for image, expected in zip(IMAGES, tokens, strict=True):
        features, feature_map = session.run([FEATURES, FEATURE_MAP], {IMAGE: image[None]})
        np.testing.assert_allclose(feature_map[0], expected.reshape(4, 4, CHANNELS), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(features[0], expected.mean(0), rtol=1e-3, atol=1e-5)


def test_the_class_token_is_a_vector_without_positions(tmp_path: Path) -> None:
    model = transformer()
    session = _adapted(model, tmp_path, scaling="unit", pooling="first")
    features, feature_map = session.run([FEATURES, FEATURE_MAP], {IMAGE: IMAGES[:1]})
    expected = _original(model, "last_hidden_state", IMAGES[:1] / 255)[:, 0]
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(feature_map, features[:, None, None])


def test_a_tensor_inside_the_network_can_be_chosen(tmp_path: Path) -> None:
    model = convolutional()
    inside = next(node.output[0] for node in model.graph.node if node.op_type == "GlobalAveragePool")
    features = _adapted(model, tmp_path, features_output=inside).run([FEATURES], {IMAGE: IMAGES[:1]})[0]
    pooled = _original(model, "pooled", SCALED["torch"](IMAGES[:1]))
    np.testing.assert_allclose(features, pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("element_type", [TensorProto.UINT8, TensorProto.FLOAT16])
def test_networks_of_other_element_types_are_accepted(element_type: int, tmp_path: Path) -> None:
    model = convolutional(element_type=element_type)
    features = _adapted(model, tmp_path, features_output="pooled", scaling="none").run([FEATURES], {IMAGE: IMAGES})[0]
    expected = _original(convolutional(), "pooled", IMAGES)
    np.testing.assert_allclose(features, expected, rtol=1e-2, atol=1e-2)


def test_a_network_for_images_of_any_size_needs_one(tmp_path: Path) -> None:
    path = _write(convolutional(size="side"), tmp_path)
    with pytest.raises(ConfigError, match="image size: expected a number of pixels"):
        adapt_untrusted(path, FeatureNetworkOptions("pooled"), tmp_path)
    assert adapt_untrusted(path, FeatureNetworkOptions("pooled", image_size=96), tmp_path).image_size == 96


def _with_two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("text", TensorProto.INT64, [1, 77]))


def _of_text(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixel_values", TensorProto.INT64, [1, 77]))


def _of_wide_images(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 64


def _with_weights_outside(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def _of_an_old_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 11


def _that_ignores_the_image(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 0, tensor.name))


def _with_infinite_features(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(np.inf), tensor.name))


REFUSED = {
    _with_two_inputs: "expected a network with one input, the image, found 2: 'pixel_values', 'text'",
    _of_text: r"expected the input 'pixel_values' to be images float32 .*, found int64 \(1, 77\)",
    _of_wide_images: "expected a network of square images, found one of 32 x 64 pixels",
    _with_weights_outside: "which is stored in another file",
    _of_an_old_operator_set: "expected operator set 13 or later, found 11",
    _that_ignores_the_image: "expected features that depend on the image",
    _with_infinite_features: "expected finite features",
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda one: one.__name__.strip("_"))
def test_other_networks_are_refused(spoil: Callable[[onnx.ModelProto], None], tmp_path: Path) -> None:
    model = convolutional()
    spoil(model)
    with pytest.raises(ModelError, match=rf"^network\.onnx: {REFUSED[spoil]}|^network\.onnx: .*{REFUSED[spoil]}"):
        adapt_untrusted(_write(model, tmp_path), FeatureNetworkOptions("pooled"), tmp_path)


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda one: one.__name__)
def test_endless_and_huge_networks_are_refused(spoil: Callable[[onnx.ModelProto], None], tmp_path: Path) -> None:
    model = convolutional()
    model.graph.input[0].name = "image"
    model.graph.node[0].input[0] = "image"
    spoil(model)
    last = model.graph.node[-1].output[0]
    with pytest.raises((ModelError, ConfigError)) as caught:
        add_backbone(_write(model, tmp_path), "mine", FeatureNetworkOptions(last))
    assert len(caught.value.message) < 1500 and added_backbones() == ()


@pytest.mark.parametrize("content", [b"", b"\xff" * 1000, b"<html>"], ids=repr)
def test_a_file_that_is_no_network_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"network\.onnx: expected"):
        adapt_untrusted(path, FeatureNetworkOptions(), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FeatureNetworkOptions(), "features output: expected the name of one of the outputs .*'map', 'pooled'"),
        (FeatureNetworkOptions("embedding"), "received 'embedding'. Its outputs: 'map', 'pooled'"),
        (FeatureNetworkOptions("pooled", image_size=64), "image size: expected 32, that of the network, received 64"),
    ],
)
def test_options_that_do_not_fit_name_what_does(options: FeatureNetworkOptions, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        adapt_untrusted(_write(convolutional(), tmp_path), options, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../up", "expected at most 100 letters"),
        ("", "expected"),
        ("efficientnetlite0", "known one: EfficientNetLite0"),
    ],
)
def test_names_that_cannot_be_used_are_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        add_backbone(_write(convolutional(), tmp_path), name, FeatureNetworkOptions("pooled"))


def test_another_network_does_not_replace_one_of_its_name(tmp_path: Path) -> None:
    first = add_backbone(_write(convolutional(), tmp_path), "mine", FeatureNetworkOptions("pooled"))
    assert add_backbone(_write(convolutional(), tmp_path), "mine", FeatureNetworkOptions("pooled")) == first
    with pytest.raises(ConfigError, match="topgraft backbones remove mine"):
        add_backbone(_write(transformer(), tmp_path), "mine", FeatureNetworkOptions())
    assert find_added("mine") == first
    remove_backbone("mine")
    assert added_backbones() == ()
    with pytest.raises(ConfigError, match="expected an added backbone, received 'mine'"):
        remove_backbone("mine")


def test_a_changed_network_is_not_used(tmp_path: Path) -> None:
    record = add_backbone(_write(convolutional(), tmp_path), "mine", FeatureNetworkOptions("pooled"))
    (tmp_path / "backbones" / "mine" / "network.onnx").write_bytes(transformer().SerializeToString())
    with pytest.raises(WeightsError, match="expected a file with the SHA-256"):
        added_content(record)
    (tmp_path / "backbones" / "mine" / "backbone.json").write_text('{"name": "mine", "image_size": "large"}')
    assert added_backbones() == ()

"""Models as imgclas leaves them, with small networks."""

import io
import json
from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

from model.dataset.images import decode_image
from model.results import InputSpec

CLASSES = ("common tern", "gull", "élan")
NAME = "2019-03-14_101500"
MEAN = [107.6, 117.2, 123.1]
DEVIATION = [62.5, 61.0, 63.9]
SIZE = 40


def small_backbone(size: int = SIZE) -> keras.Model:
    """Convolutions of several kinds, as the pretrained networks have them."""
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="first")(image)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Add()([x, layers.SeparableConv2D(8, 3, padding="same", activation="relu", name="separable")(x)])
    return keras.Model(image, layers.MaxPooling2D()(x))


def mobile_net() -> keras.Model:
    return keras.applications.MobileNet(weights=None, include_top=False, input_shape=(96, 96, 3), alpha=0.25)


def with_head(backbone: keras.Model, mode: str = "tf", spread: float = 1.0) -> keras.Model:
    """The head that imgclas puts on a backbone, with random weights and predictions that vary between images.

    `spread` is the deviation of a class's logit over images.
    """
    x = layers.GlobalAveragePooling2D()(backbone.output)
    x = layers.Dense(1024, activation="relu")(x)
    network = keras.Model(backbone.input, layers.Dense(len(CLASSES), activation="softmax")(x))
    spec = InputSpec(*backbone.input.shape[1:3])
    inputs = preprocessed(np.stack([decode_image(photo(seed), spec) for seed in range(8)]), mode)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    network(inputs, training=True)
    units = keras.Model(network.input, network.layers[-2].output).predict_on_batch(inputs)
    kernel, _ = network.layers[-1].get_weights()
    kernel *= spread / (units @ kernel).std(axis=0)
    network.layers[-1].set_weights([kernel, -(units @ kernel).mean(axis=0)])
    return network


def small_network() -> keras.Model:
    """A whole network, the same each time."""
    keras.utils.set_random_seed(2)
    return with_head(small_backbone())


def write_folder(
    directory: Path,
    network: keras.Model | None,
    mode: str = "tf",
    file: str = "final_model.h5",
    model: str = "Xception",
) -> Path:
    """The folder of a model that imgclas has trained."""
    for name in ("conf", "ckpts", "dataset_files", "stats", "logs"):
        (directory / name).mkdir(parents=True)
    size = network.input.shape[1] if network is not None else SIZE
    conf = {
        "general": {"images_directory": "/srv/image-classification-tf/data/images"},
        "model": {"modelname": model, "image_size": size, "num_classes": len(CLASSES), "preprocess_mode": mode},
        "dataset": {"mean_RGB": MEAN, "std_RGB": DEVIATION},
        "augmentation": {"val_mode": {"h_flip": True}},
    }
    (directory / "conf" / "conf.json").write_text(json.dumps(conf))
    (directory / "dataset_files" / "classes.txt").write_bytes("\r\n".join(CLASSES).encode() + b"\r\n\r\n")
    (directory / "dataset_files" / "train.txt").write_text("a b.jpg 0\nb.jpg 1\nc.jpg 2\nd.jpg 2\ne.jpg -1\n")
    (directory / "dataset_files" / "val.txt").write_text("f.jpg 0\ng.jpg 1\n")
    stats = {"epoch": [1, 2], "loss": [0.9, 0.4], "acc": [0.5, 0.8], "val_acc": [0.4, 0.5], "training time (s)": 9.5}
    (directory / "stats" / "stats.json").write_text(json.dumps(stats))
    if network is not None:
        network.save(directory / "ckpts" / file)
    return directory


def photo(seed: int) -> bytes:
    """A JPEG of no square shape, smooth in some places and fine in others."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3 + seed, 4, 3), np.uint8)
    smooth_image = np.asarray(Image.fromarray(coarse).resize((130, 90), Image.Resampling.BICUBIC)).astype(int)
    noisy = (smooth_image + rng.integers(-30, 30, smooth_image.shape)).clip(0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(noisy).save(content, "JPEG", quality=95)
    return content.getvalue()


def preprocessed(images: np.ndarray, mode: str) -> np.ndarray:
    """The preprocessing of imgclas, in words of its own."""
    batch = images.astype("float32") - np.array(MEAN, "float32")[None, None, None, :]
    if mode == "caffe":
        batch = batch[:, :, :, ::-1]
    if mode == "tf":
        batch /= 127.5
    if mode == "torch":
        batch /= np.array(DEVIATION, "float32")
    return batch

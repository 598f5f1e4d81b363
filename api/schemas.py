"""What DEEPaaS is told of the arguments and of the answer; options come from model.config alone."""

import warnings
from typing import Any

from marshmallow import Schema, fields, validate

from api.responses import RENDERERS
from model.config import PredictConfig, TrainConfig
from model.dataset.images import FORMAT_NAMES
from model.schema import fields_of, former_fields_of


def train_fields() -> dict[str, fields.Field]:
    """Arguments of train: every option of `TrainConfig`, and the former names of renamed ones."""
    return fields_of(TrainConfig) | former_fields_of(TrainConfig)


def predict_fields() -> dict[str, fields.Field]:
    """The arguments of predict: what to classify, every option of `PredictConfig`, the form of the answer."""
    return {
        # The platform's user interface finds its kind of upload by exactly one of the words
        # image, audio, video in this text.
        "image": _file_field(f"The image to classify ({FORMAT_NAMES}), or a zip of up to 10,000. Either this or url."),
        "url": fields.Str(
            load_default=None,
            allow_none=True,
            metadata={
                "description": "Where to fetch the photo, or the zip of photos: an http, https or data URI. "
                "Either this or the file."
            },
        ),
        **fields_of(PredictConfig),
        "accept": fields.Str(
            load_default="application/json",
            # A fresh list each time: DEEPaaS appends to it.
            validate=validate.OneOf(list(RENDERERS)),
            metadata={
                "description": "Form of the answer: JSON, a CSV table, or a PNG picture of what the model looked at.",
                "location": "headers",
            },
        ),
    }


def _file_field(description: str) -> fields.Field:
    with warnings.catch_warnings():
        # marshmallow 4 will want another class; deepaas-cli takes a file for this one only.
        warnings.simplefilter("ignore", DeprecationWarning)
        return fields.Field(
            load_default=None, metadata={"description": description, "type": "file", "location": "form"}
        )


class _Described(fields.Nested):
    """A nested object that is documented but not checked.

    The server checks answers in its event loop, where 10,000 predictions would hold up every other request.
    """

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return value


class NeighbourSchema(Schema):
    """A training image like the one asked about."""

    image = fields.Str(metadata={"description": "Its path inside the dataset."})
    label = fields.Str(metadata={"description": "Its class."})
    distance = fields.Float(metadata={"description": "Of the features, in [0, 2]; near 0 for the same image."})


class PredictionSchema(Schema):
    """What the model says of one image: labels and probabilities, or an error."""

    image = fields.Str(required=True, metadata={"description": "Name of the image."})
    labels = fields.List(fields.Str(), metadata={"description": "Classes, most probable first."})
    probabilities = fields.List(fields.Float(), metadata={"description": "Theirs, in [0, 1], calibrated."})
    unknown = fields.Bool(metadata={"description": "Whether the model does not know what this is."})
    unknown_reason = fields.Str(
        metadata={
            "description": "Only where unknown: confidence (the model is not sure enough), features (the image is like "
            "none of those trained on), or confidence and features."
        }
    )
    unknown_explanation = fields.Str(metadata={"description": "Only where unknown: the same, with the numbers."})
    distance = fields.Float(
        metadata={"description": "How far the features are from those of the training images, in [0, 2]."}
    )
    neighbours = fields.List(
        fields.Nested(NeighbourSchema),
        metadata={"description": "The most similar training images, nearest first, if asked for."},
    )
    error = fields.Str(metadata={"description": "Why this image could not be classified."})


def response_fields() -> dict[str, fields.Field]:
    """The JSON answer of predict; DEEPaaS answers 500 for a key that is not declared here."""
    return {
        "status": fields.Str(required=True, metadata={"description": "OK"}),
        "model": fields.Str(required=True, metadata={"description": "Name of the model that answered."}),
        "warnings": fields.List(
            fields.Str(),
            metadata={"description": "Only where latest passed over a model: which, and why."},
        ),
        "unknown_judged_by": fields.List(
            fields.Str(),
            required=True,
            metadata={
                "description": "What unknown images are told by: confidence, and features where the model remembers "
                "its training images. Empty for an imported model, which calls nothing unknown."
            },
        ),
        "labels": fields.List(
            fields.Str(),
            required=True,
            metadata={"description": "Classes of the first image that could be read, most probable first."},
        ),
        "probabilities": fields.List(
            fields.Float(), required=True, metadata={"description": "Theirs, in [0, 1], calibrated."}
        ),
        "predictions": fields.List(
            _Described(PredictionSchema), required=True, metadata={"description": "An object for each image."}
        ),
    }

"""Schemas of arguments and answers for DEEPaaS; the options themselves are defined in model.config."""

import warnings
from typing import Any

from marshmallow import Schema, fields, validate

from api.data_uri import MAX_CHARACTERS
from api.responses import RENDERERS
from model.config import PredictConfig, TrainConfig
from model.dataset.formats import FORMAT_NAMES
from model.schema import fields_of, former_fields_of


def train_fields() -> dict[str, fields.Field]:
    """Arguments of train: every option of `TrainConfig`, and the former names of renamed ones."""
    return fields_of(TrainConfig) | former_fields_of(TrainConfig)


def predict_fields() -> dict[str, fields.Field]:
    """Arguments of predict: an image or a URL, every option of `PredictConfig`, and the content type of the answer."""
    return {
        # The platform's web page offers an upload by exactly one of the words image, audio, video in this text. The
        # comment, which Swagger UI does not show, makes it a field for any file: one for images takes no zip.
        "image": _file_field(
            f"The image to classify ({FORMAT_NAMES}), or a zip of up to 10,000. Either this or url. <!-- #noparse -->"
        ),
        "url": fields.Str(
            load_default=None,
            allow_none=True,
            validate=validate.Length(max=MAX_CHARACTERS, error="Must have at most {max} characters."),
            metadata={
                "description": "URL of the image, or of a zip of images: an http, https or data URI. "
                "Either this or the file."
            },
        ),
        **fields_of(PredictConfig),
        **former_fields_of(PredictConfig),
        "accept": fields.Str(
            load_default="application/json",
            # A fresh list each time: DEEPaaS appends to it.
            validate=validate.OneOf(list(RENDERERS)),
            metadata={
                "description": "Content type of the answer: JSON, a CSV table (also as text/csv), or a PNG figure with "
                "an activation map.",
                "location": "headers",
            },
        ),
    }


def _file_field(description: str) -> fields.Field:
    with warnings.catch_warnings():
        # deepaas-cli accepts a file for this class only, which marshmallow 4 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        return fields.Field(
            load_default=None, metadata={"description": description, "type": "file", "location": "form"}
        )


class _Described(fields.Nested):
    """A nested object that is documented but not validated.

    The server validates answers in its event loop, where 10,000 predictions would block every other request.
    """

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return value


class NeighbourSchema(Schema):
    """A training image similar to the classified one."""

    image = fields.Str(metadata={"description": "Path of the training image inside the dataset."})
    label = fields.Str(metadata={"description": "Class of the training image."})
    distance = fields.Float(metadata={"description": "Distance of the features, in [0, 2]; near 0 for the same image."})


class PredictionSchema(Schema):
    """Prediction for one image: labels and probabilities, or an error."""

    image = fields.Str(required=True, metadata={"description": "Name of the image."})
    labels = fields.List(fields.Str(), metadata={"description": "Classes, most probable first."})
    probabilities = fields.List(fields.Float(), metadata={"description": "Of the labels, in [0, 1], calibrated."})
    unknown = fields.Bool(metadata={"description": "Whether the image is out-of-distribution: none of the classes."})
    unknown_reason = fields.Str(metadata={"description": "Only if unknown: features."})
    unknown_explanation = fields.Str(metadata={"description": "Only if unknown: the reason with its numbers, as text."})
    uncertain = fields.Bool(
        metadata={
            "description": "Whether the confidence is too low for the target accuracy of the training. An unknown "
            "image is not uncertain too."
        }
    )
    uncertain_explanation = fields.Str(
        metadata={"description": "Only if uncertain: the reason with its numbers, as text."}
    )
    second = fields.Str(metadata={"description": "Only if uncertain: the second most probable class."})
    distance = fields.Float(
        metadata={"description": "Distance of the features from those of the training images, in [0, 2]."}
    )
    neighbours = fields.List(
        fields.Nested(NeighbourSchema),
        metadata={"description": "The most similar training images, nearest first, if requested."},
    )
    warning = fields.Str(metadata={"description": "Only if the prediction may be wrong: why, such as its intensities."})
    error = fields.Str(metadata={"description": "Why this image could not be classified."})


def response_fields() -> dict[str, fields.Field]:
    """Fields of the JSON answer of predict; DEEPaaS responds with 500 to a key that is not declared here."""
    return {
        "status": fields.Str(required=True, metadata={"description": "OK"}),
        "model": fields.Str(required=True, metadata={"description": "Name of the model that was used."}),
        "warnings": fields.List(
            fields.Str(),
            metadata={"description": "Only if latest skipped a model: which one, and why."},
        ),
        "marks": fields.List(
            fields.Str(),
            required=True,
            metadata={
                "description": "Marks that the model can set: unknown, if it has a threshold of the distance from its "
                "training images; uncertain, if it has one of the confidence. An imported model may have neither."
            },
        ),
        "unknown_judged_by": fields.List(
            fields.Str(),
            required=True,
            metadata={"description": "Criteria for unknown images: features, or none if the model marks none."},
        ),
        "labels": fields.List(
            fields.Str(),
            required=True,
            metadata={"description": "Classes of the first readable image, most probable first."},
        ),
        "probabilities": fields.List(
            fields.Float(),
            required=True,
            metadata={"description": "Of the labels, in [0, 1], calibrated."},
        ),
        "predictions": fields.List(
            _Described(PredictionSchema), required=True, metadata={"description": "One object per image."}
        ),
    }

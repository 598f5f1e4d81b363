"""The DEEPaaS plug-in: a thin translation of HTTP to the library `model`."""

from api.plugin import get_metadata, get_predict_args, get_train_args, predict, schema, train, warm

__all__ = ["get_metadata", "get_predict_args", "get_train_args", "predict", "schema", "train", "warm"]

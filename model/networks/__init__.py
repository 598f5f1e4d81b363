"""Backbones as Keras networks: built, their weights read, cut, frozen, and converted to ONNX."""

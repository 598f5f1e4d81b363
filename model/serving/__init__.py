"""Inference: from a bundle to predictions, with ONNX Runtime and without TensorFlow."""

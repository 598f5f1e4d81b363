"""From a bundle to answers, by ONNX Runtime and without TensorFlow."""

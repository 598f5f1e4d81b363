"""Image features from a frozen backbone in ONNX, and their cache; no Keras and no TensorFlow here."""

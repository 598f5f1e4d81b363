"""Export of a trained model: Keras and ONNX files, int8, SavedModel, LiteRT."""

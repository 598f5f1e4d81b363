"""A trained model in the forms that other programs run: ONNX, SavedModel, LiteRT, Keras."""

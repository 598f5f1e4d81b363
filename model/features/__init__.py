"""Image features from a frozen backbone in ONNX, and their cache; no Keras and no TensorFlow here."""

import os

# From 1.29 on, ONNX Runtime tells its makers what it runs, unless this is set before it is imported.
if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

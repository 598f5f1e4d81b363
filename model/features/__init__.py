"""Image features from a frozen backbone in ONNX, and their cache; no Keras and no TensorFlow here."""

import os

from model.environment import ORT_DISABLE_TELEMETRY

# From 1.29 on, ONNX Runtime tells its makers what it runs, unless this is set before it is imported.
if not ORT_DISABLE_TELEMETRY.is_set:
    os.environ[ORT_DISABLE_TELEMETRY.name] = "1"

"""Image features of a frozen backbone by ONNX Runtime, and their cache, without Keras and TensorFlow."""

import os

from model.environment import ORT_DISABLE_TELEMETRY

# From 1.29 on, ONNX Runtime sends telemetry unless this is set before it is imported.
if not ORT_DISABLE_TELEMETRY.is_set:
    os.environ[ORT_DISABLE_TELEMETRY.name] = "1"

"""Newborn monitoring at the cot: camera frames in, quality-checked facts out over MQTT. Not a medical device."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must stand before the first import of onnxruntime

__version__ = "0.1.0"

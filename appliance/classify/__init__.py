"""Naming the sound around an onset with a small TFLite network."""

from appliance.classify.tflite import COMMITTED_MODEL, TfliteClassifier, load_classifier

__all__ = ["COMMITTED_MODEL", "TfliteClassifier", "load_classifier"]

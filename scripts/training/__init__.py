"""Training of the classifier: recordings in, a TFLite model and its card out. Runs in .venv-train, never on a node."""

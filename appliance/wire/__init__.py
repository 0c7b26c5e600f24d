"""Bytes to model and back: scenes, truth, picks files, incidents, sound blocks, records and messages. No I/O."""

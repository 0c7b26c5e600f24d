"""Scenes on disk, scenes made by physics, and the streams that feed either of them to nodes as if it happened now."""

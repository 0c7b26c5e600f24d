"""The image in an emulator: what it must show before anybody flashes it."""

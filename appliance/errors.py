"""Every error that Earshot raises on purpose: few classes, by what the caller can do about them.

A message names the thing, the value found there and the remedy, in one line, because it is what a person
reads on standard error or on the page.
"""


class EarshotError(Exception):
    """Something is wrong that a person can mend; `str()` of it is one complete line."""

    def __init__(self, thing: str, problem: str, remedy: str) -> None:
        """State the `thing` (file and field, device, peer), the `problem` with its value, and the `remedy`."""
        super().__init__(f"{thing}: {problem}; {remedy}")
        self.thing = thing
        self.problem = problem
        self.remedy = remedy


class InputError(EarshotError):
    """A file, an option or a message from outside has the wrong shape; nothing of it was used."""


class DeviceError(EarshotError):
    """A microphone array, receiver or clock is missing or stopped working; it may come back."""


class ModelError(EarshotError):
    """The classifier's model can't be loaded or does not fit this version."""


class StoreError(EarshotError):
    """The node's database can't be read or written."""


class PeerError(EarshotError):
    """A peer or a local process broke the protocol or could not prove who it is; its message was dropped."""

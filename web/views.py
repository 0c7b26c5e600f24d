"""Ties the store to its words: what the API and the stream both show."""

from web import present
from web.reader import Reader
from web.sse import Presenter
from web.texts import Texts


def presenter(reader: Reader, texts: Texts) -> Presenter:
    """Shows incidents and nodes of `reader` in the language of `texts`."""
    return Presenter(
        incident=lambda body: present.incident(body, texts),
        nodes=lambda: present.nodes(reader.nodes(), texts),
    )

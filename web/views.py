"""Ties the store to its words: what the API and the stream both show."""

from collections.abc import Sequence

from web import present
from web.reader import Body, Reader
from web.sse import Presenter
from web.texts import Texts


def presenter(reader: Reader, texts: Texts) -> Presenter:
    """Shows incidents and nodes of `reader` in the language of `texts`."""
    return Presenter(
        incident=lambda body: incidents([body], reader, texts)[0],
        nodes=lambda: present.nodes(reader.nodes(), texts),
    )


def incidents(bodies: Sequence[Body], reader: Reader, texts: Texts) -> list[Body]:
    """Incidents with their words, and with what people say of each now."""
    ids = [str(body["id"]) for body in bodies]
    acknowledged, reviewed = reader.acknowledgements(ids), reader.reviews(ids)
    return [
        {
            **present.incident(body, texts),
            "acknowledgements": list(acknowledged.get(str(body["id"]), ())),
            "reviews": list(reviewed.get(str(body["id"]), ())),
        }
        for body in bodies
    ]

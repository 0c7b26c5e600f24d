"""Ties the store to its words: what the API and the stream both show."""

from collections.abc import Sequence
from typing import Protocol

from web import present
from web.gazetteer import Address
from web.reader import Body, Reader
from web.sse import Presenter
from web.texts import Texts


class Addresses(Protocol):
    """What makes words of a place."""

    def address(self, lat_deg: float, lon_deg: float) -> Address:
        """The address of a place."""


def presenter(reader: Reader, texts: Texts, addresses: Addresses) -> Presenter:
    """Shows incidents and nodes of `reader` in the language of `texts`."""
    return Presenter(
        incident=lambda body: incidents([body], reader, texts, addresses)[0],
        nodes=lambda: present.nodes(reader.nodes(), texts),
    )


def incidents(bodies: Sequence[Body], reader: Reader, texts: Texts, addresses: Addresses) -> list[Body]:
    """Incidents with their words and addresses, and with what people say of each now."""
    ids = [str(body["id"]) for body in bodies]
    acknowledged, reviewed = reader.acknowledgements(ids), reader.reviews(ids)
    return [
        {
            **present.incident(body, texts),
            **_address(body, texts, addresses),
            "acknowledgements": list(acknowledged.get(str(body["id"]), ())),
            "reviews": list(reviewed.get(str(body["id"]), ())),
        }
        for body in bodies
    ]


def _address(body: Body, texts: Texts, addresses: Addresses) -> Body:
    """`address` in words and `zones` by kind; nothing where there is no place, or nothing known near it."""
    if body.get("lat") is None:
        return {}
    found = addresses.address(float(body["lat"]), float(body["lon"]))
    line = present.address_line(found, texts)
    return {"address": line, "zones": dict(found.zones)} if line else {}

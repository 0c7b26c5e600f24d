"""How a car comes to trust this site: a page of steps, the authority's certificate, a QR code of the address."""

import hashlib
import io

import segno
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from flask import Blueprint, Response, render_template, request

from web.passes import AUTHORITY_FILE
from web.problems import Refusal
from web.site import current_site

blueprint = Blueprint("trust", __name__)


@blueprint.get("/trust")
def steps() -> str:
    """What to do on each kind of device, and the fingerprint to compare."""
    site = current_site()
    certificate = _authority()
    digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
    return render_template(
        "trust.html",
        t=site.texts,
        title=site.settings.title,
        fingerprint=" ".join(digest[i : i + 4] for i in range(0, 64, 4)),
        name=certificate.subject.rfc4514_string().removeprefix("CN="),
        address=f"{request.host_url}trust",
        is_secure=request.is_secure,
    )


@blueprint.get("/trust/site.crt")
def authority() -> Response:
    """The certificate of the site's authority, as every kind of device takes it."""
    response = Response(_authority().public_bytes(serialization.Encoding.DER), mimetype="application/x-x509-ca-cert")
    response.headers["Content-Disposition"] = 'attachment; filename="earshot-site.crt"'
    return response


@blueprint.get("/trust/code.svg")
def code() -> Response:
    """The address of the page of steps as a QR code."""
    drawing = io.BytesIO()
    made = segno.make(f"{request.host_url}trust", error="m")
    made.save(drawing, kind="svg", border=4, dark="#000", light="#fff", scale=6)
    return Response(drawing.getvalue(), mimetype="image/svg+xml")


def _authority() -> x509.Certificate:
    """The site's authority for pages. Raises Refusal where this node has none."""
    site = current_site()
    folder = site.settings.page_keys
    if folder is None or not (folder / AUTHORITY_FILE).exists():
        raise Refusal(404, site.texts["error.no-authority"], site.texts["error.no-authority.remedy"])
    return x509.load_pem_x509_certificate((folder / AUTHORITY_FILE).read_bytes())

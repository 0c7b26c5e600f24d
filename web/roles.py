"""Who may do what: the roles of people, and how a request proved whose it is. No I/O."""

import enum
from dataclasses import dataclass


class Role(enum.StrEnum):
    """What a person is to the site; the table in `web.routes` says what each may do."""

    INSTALLER = "installer"
    ANALYST = "analyst"
    PATROL = "patrol"
    VIEWER = "viewer"


class Proof(enum.StrEnum):
    """How a request showed whose it is."""

    SESSION = "session"
    PASS = "pass"  # noqa: S105  # a word of the interface, no secret
    TOKEN = "token"  # noqa: S105  # likewise
    LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class Person:
    """Whose request it is.

    name:  as the person logged in; written into records and the audit
    csrf:  what a changing request by a login session must repeat; None where no cookie speaks for the person
    """

    name: str
    role: Role
    proof: Proof
    csrf: str | None = None


ROAMING = {
    Role.INSTALLER: Role.ANALYST,
    Role.ANALYST: Role.ANALYST,
    Role.PATROL: Role.PATROL,
    Role.VIEWER: Role.VIEWER,
}
"""What a person of a role is at another node of the site: a stolen node must not make installers for the others."""

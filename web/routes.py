"""Who may call what: every route of the application, method by method. What is not in the table is refused to all."""

from collections.abc import Mapping
from types import MappingProxyType

from web.roles import Role

PUBLIC = None
"""In place of roles: everybody may, without a login. Nothing public tells anything of the site."""

EVERYBODY = frozenset(Role)
ACTING = frozenset({Role.INSTALLER, Role.ANALYST, Role.PATROL})
REVIEWING = frozenset({Role.INSTALLER, Role.ANALYST})
INSTALLING = frozenset({Role.INSTALLER})

ROUTES: Mapping[tuple[str, str], frozenset[Role] | None] = MappingProxyType(
    {
        ("static", "GET"): PUBLIC,
        ("api.healthz", "GET"): PUBLIC,
        ("api.readyz", "GET"): PUBLIC,
        ("login.log_in", "GET"): PUBLIC,
        ("login.take_log_in", "POST"): PUBLIC,
        ("login.set_up", "GET"): PUBLIC,
        ("login.take_set_up", "POST"): PUBLIC,
        ("login.log_out", "POST"): EVERYBODY,
        ("trust.steps", "GET"): PUBLIC,
        ("trust.authority", "GET"): PUBLIC,
        ("trust.code", "GET"): PUBLIC,
        ("pages.board", "GET"): EVERYBODY,
        ("pages.patrol", "GET"): EVERYBODY,
        ("pages.status", "GET"): EVERYBODY,
        ("pages.interface", "GET"): EVERYBODY,
        ("pages.incident", "GET"): EVERYBODY,
        ("pages.install", "GET"): INSTALLING,
        ("api.incidents", "GET"): EVERYBODY,
        ("api.incident", "GET"): EVERYBODY,
        ("api.nodes", "GET"): EVERYBODY,
        ("api.street_map", "GET"): EVERYBODY,
        ("api.openapi", "GET"): EVERYBODY,
        ("api.rejections", "GET"): REVIEWING,
        ("api.metrics", "GET"): EVERYBODY,
        ("live.events", "GET"): EVERYBODY,
        ("clips.clips", "GET"): REVIEWING,
        ("clips.clip", "GET"): REVIEWING,
        ("login.own_pass", "GET"): EVERYBODY,
        ("remarks.acknowledge", "POST"): ACTING,
        ("remarks.review", "POST"): REVIEWING,
        ("remarks.said", "GET"): EVERYBODY,
        ("remarks.exercise", "POST"): REVIEWING,
        ("members.page", "GET"): INSTALLING,
        ("members.open_site", "POST"): INSTALLING,
        ("members.join", "POST"): INSTALLING,
        ("members.revoke", "POST"): INSTALLING,
        ("geography.page", "GET"): INSTALLING,
        ("geography.give", "POST"): INSTALLING,
        ("login.people", "GET"): INSTALLING,
        ("login.add", "POST"): INSTALLING,
        ("login.remove", "POST"): INSTALLING,
    }
)


def roles_of(endpoint: str, method: str) -> frozenset[Role] | None:
    """Who may call `endpoint` with `method`: nobody where the table does not say; `PUBLIC`: everybody."""
    return ROUTES.get((endpoint, "GET" if method == "HEAD" else method), frozenset())

"""The interface as an OpenAPI 3.1 document, made from the application's own routes so that none is left out. No I/O."""

import inspect
import re
from typing import Any

import msgspec
from flask import Flask

from appliance import __version__
from web.routes import PUBLIC, roles_of
from web.shapes import BODIES, QUERIES

METHODS = ("GET", "POST")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def document(app: Flask) -> dict[str, Any]:
    """The document: every route below /api, and those that watch over the process."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if not rule.rule.startswith(("/api", "/healthz", "/readyz", "/metrics")):
            continue
        path = paths.setdefault(_PARAMETER.sub(r"{\1}", rule.rule), {})
        for method in METHODS:
            if method in (rule.methods or ()):
                path[method.lower()] = _operation(app, rule.endpoint, method, _PARAMETER.findall(rule.rule))
    schemas = msgspec.json.schema_components(BODIES.values(), ref_template="#/components/schemas/{name}")[1]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Earshot", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-earshot"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(app: Flask, endpoint: str, method: str, parameters: list[str]) -> dict[str, Any]:
    roles = roles_of(endpoint, method)
    words = inspect.getdoc(app.view_functions[endpoint]) or ""
    fields: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
    ]
    fields += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in QUERIES.get(endpoint, {}).items()
    ]
    operation: dict[str, Any] = {
        "operationId": endpoint.replace(".", "_"),
        "summary": words.splitlines()[0] if words else "",
        "parameters": fields,
        "responses": {"200": {"description": "done"}, "default": {"description": "error and remedy, each one line"}},
    }
    if roles is PUBLIC:
        operation["security"] = []
    else:
        operation["security"] = [{"session": []}, {"token": []}]
        operation["x-roles"] = sorted(roles)
    if endpoint in BODIES:
        schema = {"$ref": f"#/components/schemas/{BODIES[endpoint].__name__}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation

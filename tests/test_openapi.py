"""The description of the API is valid, whole, and what the server does."""

from __future__ import annotations

import re

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from rtserver.app import routes
from rtserver.handlers.base import BaseHandler, UnknownRoute
from rtserver.openapi import document


@pytest.fixture
def described(api):
    return msgspec.json.decode(msgspec.json.encode(document(api.server.config)))


def test_it_is_valid_openapi(described):
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []
    assert described["openapi"].startswith("3.1")


async def test_it_is_served_to_anybody(api, described):
    answer = await api.get("/openapi.json", who=None)
    assert answer.status == 200 and answer.json == described


def pattern_of(path: str) -> str:
    return re.sub(r"\{[A-Za-z]+\}", "([^/]+)", path)


def methods_of(handler: type[BaseHandler]) -> set[str]:
    return {method.lower() for method in handler.allowed_methods()} - {"head"}


def test_every_route_and_method_is_described_and_no_other(described):
    real = {pattern: methods_of(handler) for pattern, handler in routes("") if handler is not UnknownRoute}
    verbs = {"get", "put", "post", "patch", "delete"}
    told = {pattern_of(path): set(item) & verbs for path, item in described["paths"].items()}
    assert told == real


def test_every_part_is_used(described):
    text = repr(described)
    for kind, parts in described["components"].items():
        if kind != "securitySchemes":
            for name in parts:
                assert f"#/components/{kind}/{name}'" in text, f"{kind} {name} is described and never used"


async def test_the_base_path_is_the_server(start_server):
    api = await start_server(base_path="/rt")
    assert document(api.server.config)["servers"] == [{"url": "/rt"}]

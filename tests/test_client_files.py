"""Files for browsers: the client's modules as they are served, and the pages that only the demonstration has."""

from __future__ import annotations

import re

import pytest

from rtserver import config
from rtserver.app import Server
from rtserver.auth import read_secret
from rtserver.handlers.demonstration import demo_routes
from rtserver.handlers.files import WEB
from tests.conftest import Api
from tests.contract import assert_problem
from tests.http import request


async def get(api, path, method="GET", body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await request(api.port, method, path, named, body)


@pytest.fixture
def demo(io_loop, tmp_path):
    """A server with the demonstration's pages, below a base path."""
    settings = {"data_dir": str(tmp_path / "demo"), "port": 0, "drain_seconds": 0, "base_path": "/rt"}
    server = Server(config.load(settings, environment={}), more_routes=demo_routes)
    io_loop.asyncio_loop.run_until_complete(server.start())
    yield Api(server)
    io_loop.asyncio_loop.run_until_complete(server.stop())


@pytest.mark.parametrize("name", sorted(path.name for path in (WEB / "client").iterdir()))
async def test_every_module_is_served_with_its_type_and_a_tag(api, name):
    answer = await get(api, f"/client/{name}")

    assert answer.status == 200
    assert answer.body == (WEB / "client" / name).read_bytes()
    kind = "text/plain" if name.endswith(".ts") else "text/javascript"
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await get(api, f"/client/{name}", If_None_Match=answer.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])


async def test_every_module_that_is_imported_is_served(api):
    seen, waiting = set(), {"rtclient.js", "indicator.js"}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        answer = await get(api, f"/client/{name}")
        assert answer.status == 200, name
        waiting |= set(re.findall(r'from "\./([a-z]+\.js)"', answer.body.decode())) - seen
    assert seen == {path.name for path in (WEB / "client").glob("*.js")}


async def test_the_client_is_gzipped_and_answers_head(api):
    zipped = await get(api, "/client/rtclient.js", Accept_Encoding="gzip")
    head = await get(api, "/client/rtclient.js", "HEAD")

    assert zipped.headers["content-encoding"] == "gzip"
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) == (WEB / "client" / "rtclient.js").stat().st_size


@pytest.mark.parametrize(
    "name", ["no.js", "..%2fdemo%2fchat.js", "%2e%2e%2f%2e%2e%2fapp.py", "rtclient", "rtclient.js%00", ".", ""]
)
async def test_no_name_leads_out_of_the_folder(api, name):
    assert_problem(await get(api, f"/client/{name}"), 404)


@pytest.mark.parametrize("path", ["/", "/demo/chat.js", "/demo/token"])
async def test_a_server_has_no_demonstration(api, path):
    assert_problem(await get(api, path), 404)


async def test_the_page_of_the_demonstration_has_a_strict_policy_and_nothing_inline(demo):
    page = await get(demo, "/rt/", Accept="text/html")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    assert "require-trusted-types-for 'script'" in policy
    text = page.body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style|style=|\son[a-z]+=|javascript:|https?:", text)
    for address in re.findall(r'(?:src|href)="(?!\?|#)([^"]+)"', text):
        assert (await get(demo, f"/rt/{address}")).status == 200, address


async def test_the_demonstration_gives_tokens_for_its_people_alone(demo):
    given = await get(demo, "/rt/demo/token", "POST", b'{"participantId": "alice"}')

    assert given.status == 201
    assert given.headers["cache-control"] == "no-store"
    assert given.json["token"].count(".") == 2
    assert_problem(await get(demo, "/rt/demo/token", "POST", b'{"participantId": "ava"}'), 400)
    assert_problem(await get(demo, "/rt/demo/token", "POST", b'{"participantId": "admin"}'), 400)
    assert_problem(await get(demo, "/rt/demo/token"), 405)


async def test_no_page_holds_a_token_or_the_secret(demo):
    secret = read_secret(WEB.parent / demo.server.config.data_dir)
    for path in ("/rt/", "/rt/demo/chat.js", "/rt/client/rtclient.js"):
        body = (await get(demo, path)).body
        assert b"eyJ" not in body and secret not in body


async def test_pages_of_allowed_origins_may_import_the_client(start_server):
    api = await start_server(cors_origins="https://bank.example")
    answer = await get(api, "/client/rtclient.js", Origin="https://bank.example")
    assert answer.headers["access-control-allow-origin"] == "https://bank.example"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"

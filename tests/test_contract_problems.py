"""Every problem's type is a page of this server that says cause, example and remedy (DESIGN 4.8, RFC 9457)."""

from __future__ import annotations

import re

import pytest

from rtserver.errors import RequestError
from rtserver.handlers.pages import POLICY
from rtserver.problems import EXPLANATIONS, PAGES
from tests.contract import assert_problem
from tests.http import request


def kinds(error=RequestError):
    return [error, *(below for kind in error.__subclasses__() for below in kinds(kind))]


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
async def test_every_problem_has_a_page_with_cause_and_remedy(api, kind):
    page = EXPLANATIONS[kind]
    assert PAGES[kind.slug].error is kind, "two problems share a slug"
    text = await request(api.port, "GET", f"/problems/{kind.slug}", {}, None)
    assert text.status == 200 and text.headers["content-type"] == "text/plain; charset=utf-8"
    html = await request(api.port, "GET", f"/problems/{kind.slug}", BROWSER, None)
    assert html.status == 200 and html.headers["content-type"] == "text/html; charset=utf-8"
    assert html.headers["content-security-policy"] == POLICY
    for words in (kind.title, page.cause[:40], page.remedy[:40]):
        assert words in re.sub(r"\s+", " ", text.body.decode())
    assert f"/problems/{kind.slug}" in html.body.decode()
    assert "<script" not in html.body.decode() and " style=" not in html.body.decode()


def test_every_page_is_of_a_problem_that_exists():
    assert set(EXPLANATIONS) == set(kinds())


async def test_the_type_of_a_refusal_leads_to_its_page(start_server):
    api = await start_server(base_path="/rt")
    answer = await request(api.port, "GET", "/rt/api/sessions/s?ticket=x", {}, None)
    assert answer.json["type"] == "/rt/problems/invalid-ticket"
    page = await request(api.port, "GET", answer.json["type"], BROWSER, None)
    shown = page.body.decode()
    assert page.status == 200 and "/rt/problems/invalid-ticket" in shown
    assert shown.count("/api/") == shown.count("/rt/api/") > 0


async def test_all_problems_are_listed(api):
    listed = await request(api.port, "GET", "/problems", BROWSER, None)
    for slug in PAGES:
        assert f'href="/problems/{slug}"' in listed.body.decode()
    assert (await request(api.port, "HEAD", "/problems", BROWSER, None)).status == 200


async def test_a_problem_that_does_not_exist_is_not_found(api):
    answer = await request(api.port, "GET", "/problems/%3Cscript%3E", BROWSER, None)
    assert_problem(answer, 404)

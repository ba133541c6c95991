"""The error tree: a type per thing a caller can act on, each with a status and a name of its own."""

from __future__ import annotations

import copy
import inspect
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from rtserver import errors
from rtserver.errors import (
    MethodNotAllowed,
    RequestError,
    RTServerError,
    StorageFailing,
    StorageFull,
    Unauthorized,
    Unavailable,
    UnsupportedEncoding,
)


def descendants(kind: type[RTServerError]) -> Iterator[type[RTServerError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from descendants(child)


REQUEST_ERRORS = [RequestError, *(kind for kind in descendants(RequestError))]


def made(kind: type[RequestError]) -> RequestError:
    return kind("what was found", "GET, HEAD") if issubclass(kind, MethodNotAllowed) else kind("what was found")


def drawn_tree() -> list[tuple[str, str | None, int | None]]:
    """Return the tree in the module's docstring as (name, parent, status drawn on the line)."""
    rows, ancestors = [], []
    for line in inspect.getdoc(errors).splitlines():
        if match := re.fullmatch(r"( *)\* `(\w+)` *(\d{3})?.*", line):
            del ancestors[len(match[1]) // 4 :]
            rows.append((match[2], ancestors[-1] if ancestors else None, int(match[3]) if match[3] else None))
            ancestors.append(match[2])
    return rows


def test_every_class_of_the_module_is_in_the_tree():
    classes = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}

    assert classes == {RTServerError, *descendants(RTServerError)}


def test_docstring_draws_the_tree_as_it_is():
    real = [("RTServerError", None)]
    real += [(kind.__name__, kind.__base__.__name__) for kind in descendants(RTServerError)]

    drawn = [(name, parent) for name, parent, _ in drawn_tree()]
    assert Counter(drawn) == Counter(real)


def test_docstring_names_the_status_of_every_refusal():
    drawn = {name: (parent, status) for name, parent, status in drawn_tree()}

    def status_drawn(name: str) -> int | None:
        parent, status = drawn[name]
        return status if status or parent is None else status_drawn(parent)

    for kind in REQUEST_ERRORS[1:]:
        assert status_drawn(kind.__name__) == kind.status, kind.__name__


@pytest.mark.parametrize("kind", REQUEST_ERRORS)
def test_refusal_has_a_status_of_an_error(kind):
    """P7."""
    assert 400 <= kind.status <= 599


@pytest.mark.parametrize("kind", REQUEST_ERRORS)
def test_slug_is_the_end_of_a_url(kind):
    """P7: it is the end of the problem's type, for ever."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug)


def test_no_two_refusals_share_a_slug():
    """P7: a stable type per cause."""
    assert [slug for slug, count in Counter(kind.slug for kind in REQUEST_ERRORS).items() if count > 1] == []


def test_no_two_refusals_share_a_title():
    assert [title for title, count in Counter(kind.title for kind in REQUEST_ERRORS).items() if count > 1] == []


@pytest.mark.parametrize("kind", REQUEST_ERRORS)
def test_refusal_says_what_it_was_given(kind):
    error = made(kind)

    assert error.detail == str(error) == "what was found"
    assert all(isinstance(part, str) for pair in error.headers().items() for part in pair)


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_ERRORS if kind.status == 401])
def test_every_401_says_how_to_authenticate(kind):
    """RFC 6750 section 3.1: an error code only where credentials were sent."""
    expected = "Bearer" if kind is Unauthorized else 'Bearer error="invalid_token"'

    assert made(kind).headers() == {"WWW-Authenticate": expected}


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_ERRORS if kind.status == 503])
def test_every_503_says_when_to_come_back(kind):
    assert issubclass(kind, Unavailable)
    assert kind("full").headers() == {"Retry-After": "1"}
    assert kind("full", 5).headers() == {"Retry-After": "5"}


def test_method_not_allowed_says_which_are():
    assert MethodNotAllowed("no", "GET, OPTIONS").headers() == {"Allow": "GET, OPTIONS"}


def test_unsupported_encoding_says_which_are_supported():
    assert UnsupportedEncoding("no").headers() == {"Accept-Encoding": "gzip, deflate"}


@pytest.mark.parametrize("error", [StorageFull("full"), StorageFailing("failing", 5)])
def test_storage_errors_can_be_copied_for_each_publish_of_a_batch(error):
    copied = copy.copy(error)

    assert type(copied) is type(error) and copied is not error
    assert (copied.detail, copied.headers()) == (error.detail, error.headers())

"""Which proxy is used, and with what credentials."""

import base64

import pytest

from rtserver.client.errors import Misused
from rtserver.client.proxy import Origin, Proxy, choose_proxy, parse_proxy, parse_url

BANK = {"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "http://secure:3129"}


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://rt.example", Origin("http", "rt.example", 80), ""),
        ("https://rt.example/rt/", Origin("https", "rt.example", 443), "/rt"),
        ("HTTP://RT.example:8080", Origin("http", "rt.example", 8080), ""),
        ("http://[::1]:8080", Origin("http", "::1", 8080), ""),
    ],
)
def test_an_address_says_where_the_server_is(url, origin, path):
    assert parse_url(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    ["", "rt.example", "ftp://rt.example", "http://", "http://a:x", "http://a:99999", "http://a?b=c", "http://[x"],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(Misused):
        parse_url(url)


def test_the_authority_has_the_port_where_it_is_not_the_usual_one_and_a_tunnel_always():
    assert Origin("http", "a", 80).authority == "a"
    assert Origin("https", "a", 8443).authority == "a:8443"
    assert Origin("http", "::1", 8080).authority == "[::1]:8080"
    assert Origin("https", "a", 443).address == "a:443"


def test_user_and_password_are_decoded_and_never_shown():
    proxy = parse_proxy("http://al%40ice:p%3Ass%20w@proxy:3128")

    assert proxy.authorization == "Basic " + base64.b64encode(b"al@ice:p:ss w").decode()
    assert "ice" not in repr(proxy) + str(proxy)
    assert proxy.authorization not in repr(proxy)


@pytest.mark.parametrize(
    "url",
    [
        "socks5://proxy:1",
        "http://",
        "http://user:secret@proxy:x",
        "user:secret@proxy:x",
        "ftp://user:secret@proxy",
        "http://user:secret[@proxy",
        # What ends a host, unless it is percent-encoded: the user is taken for the host.
        "http://user:secret#x@proxy:3128",
        "http://user:secret/x@proxy:3128",
        "http://user:secret?x@proxy:3128",
        "http://user:5ecret#x@proxy:3128",
        "http://user:5/secret@proxy:3128",
        "http://user:secret\u2100@proxy:3128",
    ],
)
def test_a_proxy_that_is_none_is_refused_without_showing_its_password(url):
    with pytest.raises(Misused) as refused:
        parse_proxy(url)
    assert "ecret" not in str(refused.value)


def test_a_password_whose_beginning_could_be_a_port_is_not_taken_for_one():
    with pytest.raises(Misused, match="percent-encoded"):
        parse_proxy("http://user:1234#x@proxy:3128")
    with pytest.raises(Misused, match="give a token instead"):
        parse_url("http://user:1234/x@rt.example")


@pytest.mark.parametrize("url", ["http://user:secret#x@rt.example", "http://user:secret@rt.example:x"])
def test_an_address_that_is_refused_does_not_show_its_password(url):
    with pytest.raises(Misused) as refused:
        parse_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("explicit", "environment", "url", "expected"),
    [
        (None, {}, "http://rt.example", None),
        (None, BANK, "http://rt.example", "proxy:3128"),
        (None, BANK, "https://rt.example", "secure:3129"),
        (None, {"http_proxy": "http://lower:1"} | BANK, "http://rt.example", "lower:1"),
        (None, {"ALL_PROXY": "http://all:1"}, "https://rt.example", "all:1"),
        (None, {"HTTP_PROXY": "proxy:3128"}, "http://rt.example", "proxy:3128"),
        (None, {"HTTP_PROXY": ""}, "http://rt.example", None),
        ("http://mine:1", BANK, "http://rt.example", "mine:1"),
        ("", BANK, "http://rt.example", None),
        # A request's header, in a CGI program.
        (None, BANK | {"REQUEST_METHOD": "GET"}, "http://rt.example", None),
        # This computer is reached directly, except where somebody insists.
        (None, BANK, "http://127.0.0.1:8080", None),
        (None, BANK, "http://localhost:8080", None),
        (None, BANK, "http://[::1]:8080", None),
        ("http://mine:1", BANK, "http://127.0.0.1:8080", "mine:1"),
    ],
)  # fmt: skip
def test_the_argument_counts_before_the_environment(explicit, environment, url, expected):
    proxy = choose_proxy(explicit, environment, parse_url(url)[0])

    assert (proxy and str(proxy)) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_exempt"),
    [
        ("rt.example", "http://rt.example", True),
        ("example", "http://rt.example", True),
        (".example", "http://rt.example", True),
        ("*.example", "http://rt.example", True),
        ("xample", "http://rt.example", False),
        ("a, rt.example ,b", "http://rt.example", True),
        ("RT.EXAMPLE", "http://rt.example", True),
        ("*", "http://rt.example", True),
        ("", "http://rt.example", False),
        (",", "http://rt.example", False),
        ("rt.example:8080", "http://rt.example:8080", True),
        ("rt.example:8080", "http://rt.example", False),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.1.2.3", "http://10.1.2.3", True),
        (".3", "http://10.1.2.3", False),
        ("fd00::/8", "http://[fd00::1]", True),
        ("[fd00::1]:8080", "http://[fd00::1]:8080", True),
        ("[fd00::1]:8080", "http://[fd00::1]", False),
    ],
)
def test_no_proxy_exempts_names_below_a_name_addresses_and_networks(no_proxy, url, is_exempt):
    proxy = choose_proxy(None, BANK | {"NO_PROXY": no_proxy}, parse_url(url)[0])

    assert (proxy is None) == is_exempt


def test_a_proxy_of_the_environment_may_hold_credentials():
    proxy = choose_proxy(None, {"HTTPS_PROXY": "http://u:p@proxy:3128"}, Origin("https", "a", 443))

    assert proxy == Proxy("proxy", 3128, "Basic " + base64.b64encode(b"u:p").decode())

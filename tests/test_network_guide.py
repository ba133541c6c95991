"""docs/network-guide.rst tells the truth: every command is run, and tells a good network from a bad one."""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from rtserver import config
from rtserver.addresses import Proxies
from tests.certificates import arguments, make_certificate
from tests.client.squid import SquidWithPasswords
from tests.hostile import HopThread
from tests.networks.proxies import KINDS, Squid
from tests.process import ServerProcess, environment
from tests.readme import blocks, missing, paste

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = DOCS / "network-guide.rst"
ACCOUNT = "alice:secret"
# Nothing of the setting-up is shown; then the sections in their order.
EXPECTED = {
    "How to check": "^$",
    "Outbound 443 to the application's domain": "^200 application/json",
    "HTTP/1.1": "^1.1$",
    "GET and JSON": "^200 application/json$",
    "POST and JSON": "^204$",
    "Standard headers": r'"stripped":\[\]$',
    "No cache between": r'"serverTime":"(\S+)"\n(?!.*\1)"serverTime"',
    "Keep-alive": r"^1\n0$",
    "Event streams: the content type": "^200 text/event-stream$",
    "Event streams: no buffering": r"^(..:..:.. event: chunk\n){4}..:..:.. event: end$",
    "A minute of silence": r"^200 after 1\.\d+ s$",
    "Answers that last": r"^200 after \d+\.\d+ s$",
    "Several connections at a time": r"^200\n200\n[^$]*real\s+0m[23]\.",
    "gzip": "^content-encoding: gzip",
    "ETag and If-None-Match": "^304$",
    "Throughput": r"^1048576 bytes, \d+ per second$",
    "HTTP proxies and CONNECT": "^200$",
    "Proxies that ask who it is: NTLM, Kerberos, Basic": "^200$",
    "TLS inspection": "issuer: CN=localhost",
    "Hops that speak HTTP/1.0": r'"httpVersion":"HTTP/1.1"\n"via":null$',
}
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (Debian package curl)")


def sections() -> dict[str, str]:
    """Return the commands of the guide by the titles they stand under."""
    titles = re.compile(r"^(.+)\n[-.]{4,}$", re.MULTILINE)
    parts = titles.split(GUIDE.read_text())
    with_commands = [title for title, text in zip(parts[1::2], parts[2::2], strict=True) if "code-block:: sh" in text]
    return dict(zip(with_commands, blocks(GUIDE), strict=True))


class Shell(NamedTuple):
    """Where commands are pasted, and what they are given for the application, the token and the proxy."""

    directory: Path
    app: str
    token: str
    proxy: str = ""
    env: dict[str, str] = {}

    def paste(self, *titles: str) -> list[str]:
        """Return what the commands under these titles show; the times are a test's."""
        found = sections()
        own = f"APP={self.app}\nTOKEN={self.token}\nPROXY={self.proxy}\nSILENCE=1\nPAUSE=10\n"
        auth = next(line for line in found["How to check"].splitlines() if line.startswith("AUTH="))
        session = [own + auth, *(found[title] for title in titles)]
        return paste(session, self.directory, env=environment() | self.env)[1:]


def token_of(server: ServerProcess) -> str:
    return server.headers("network-check")["Authorization"].removeprefix("Bearer ")


@pytest.mark.skipif(Squid.program is None, reason=Squid.missing())
@pytest.mark.parametrize("way", ["direct", "through the proxy"])
def test_every_command_of_the_guide_shows_that_a_good_network_is_good(tmp_path, way):
    certificate = make_certificate(tmp_path, "localhost")
    assert list(sections()) == list(EXPECTED)
    with (
        ServerProcess(tmp_path / "data", "--host", "localhost", *arguments(certificate)) as server,
        SquidWithPasswords(*ACCOUNT.split(":")) as squid,
    ):
        proxy = f"http://{ACCOUNT}@127.0.0.1:{squid.port}"
        env = {"CURL_CA_BUNDLE": certificate["tls_cert"], "PROXY_ACCOUNT": ACCOUNT}
        if way == "through the proxy":
            env |= {"https_proxy": proxy, "no_proxy": "", "NO_PROXY": ""}
        app = f"https://localhost:{server.port}"
        shell = Shell(tmp_path, app, token_of(server), proxy, env)
        titles = list(EXPECTED)[1:]
        shown = shell.paste(*titles)
        log = (squid.directory / "access.log").read_text()
    expected = tuple((EXPECTED[title],) for title in titles)
    assert missing([each.rstrip("\n") for each in shown], expected) == []
    assert log.count(" CONNECT ") > (10 if way == "through the proxy" else 1)


BAD = {
    "block-streams": ("Event streams: the content type", "^403 text/html"),
    "strip:last-event-id": ("Standard headers", r'"stripped":\["last-event-id"\]'),
    "cache:30": ("No cache between", r'("serverTime":"\S+")\n\1'),
    "http10": ("Keep-alive", r"^1\n1$"),
    "buffer-whole": ("Event streams: the content type", "^000"),
    "cap:1": ("A minute of silence", "^504 after 1"),
    "one-connection": ("Several connections at a time", r"real\s+0m[4-9]\."),
    "block-page": ("Outbound 443 to the application's domain", "^200 text/html"),
    "redirect-login": ("GET and JSON", "^302 "),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ServerProcess(tmp_path_factory.mktemp("guide") / "data") as server:
        yield server


@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_network_is_shown_by_the_command_for_it(tmp_path, server, behaviour):
    title, pattern = BAD[behaviour]
    with HopThread(server.port, behaviour) as hop:
        (shown,) = Shell(tmp_path, hop.url, token_of(server)).paste(title)
    assert re.search(pattern, shown), shown


def test_a_network_that_buffers_is_shown_by_the_times(tmp_path, server):
    def seconds(shown):
        times = [datetime.strptime(found, "%H:%M:%S") for found in re.findall(r"^\S+", shown, re.MULTILINE)]
        return (times[-1] - times[0]).seconds

    title = "Event streams: no buffering"
    with HopThread(server.port, "buffer-whole") as hop:
        (held_back,) = Shell(tmp_path, hop.url, token_of(server)).paste(title)
    (direct,) = Shell(tmp_path, server.url, token_of(server)).paste(title)
    assert seconds(held_back) <= 1
    assert seconds(direct) >= 2


def test_the_page_on_networks_shows_every_configuration_that_was_tried():
    page = (DOCS / "networks.rst").read_text()
    # As they are: without :code: the page would be made of their comments and indents.
    included = re.findall(r"^\.\. include:: proxies/(\S+)\n   :code: \w+\n", page, re.MULTILINE)
    assert sorted(included) == sorted(file.name for file in KINDS["recommended"].iterdir())
    assert ".. include:: networks-table.rst" in page


def test_the_settings_of_the_page_on_networks_believe_a_proxy_on_the_same_machine(tmp_path):
    (shown,) = re.findall(r"code-block:: toml\n\n((?:    .+\n)+)", (DOCS / "networks.rst").read_text())
    file = tmp_path / "rtserver.toml"
    file.write_text(dedent(shown))

    settings = config.load({}, {}, file)

    proxies = Proxies(settings.trusted_proxies)
    assert settings.host == "127.0.0.1"
    assert proxies.client_address("127.0.0.1", ["203.0.113.9, 198.51.100.7"]) == "198.51.100.7"

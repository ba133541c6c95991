"""Terminal sessions of the documentation, taken out of it and run as they are pasted; that of README.rst first."""

from __future__ import annotations

import re
from pathlib import Path

from tests.command import run
from tests.process import environment

README = Path(__file__).parent.parent / "README.rst"
SESSION_SECONDS = 120
_BLOCK = re.compile(r"^\.\. code-block:: sh\n\n((?:    .*\n|\n)+)", re.MULTILINE)

# What each block must show, as regular expressions in this order.
EXPECTED = (
    (r'"status":"ok"',),
    (r'"sessionId":"case-1"', r'"lastEventId":"[0-9a-f-]{36}"'),
    (r'"sequence":2,"type":"message_added"', r'"sequence":2,"type":"message_added".*"replayed":true'),
    (r"event: connected", r"event: message_added\nid: [0-9a-f-]{36}\ndata: .*Good morning", r"event: probe"),
    (r'"events":\[\{.*"sequence":2', r"HTTP/1.1 204 No Content", r"Last-Event-ID: [0-9a-f-]{36}"),
    (r'"updates":\[\{.*Good morning.*"priority":"normal"', r"HTTP/1.1 304 Not Modified", r"Poll-Interval: \d"),
    (r'"status":"ok"', r"event: connected", r"event: message_added\n.*\ndata: .*Good morning"),
    (r'"reset":\{"reason":"ahead"',),
)


def blocks(page: Path = README) -> list[str]:
    """Return the blocks for a shell of a page, in order."""
    found = _BLOCK.findall(page.read_text())
    return ["\n".join(line[4:] for line in block.splitlines()).strip() + "\n" for block in found]


def run_session(
    directory: Path,
    port: int | None = None,
    *,
    shell: tuple[str, ...] = ("bash",),
    inside: str | None = None,
    env: dict[str, str] | None = None,
) -> list[str]:
    """Paste the blocks one after the other into a shell in ``directory``; return what each has shown.

    With ``port`` the session uses that one instead of its own, which may be taken.  ``inside`` is what the shell calls
    the directory, where that is something else.
    """
    session = blocks() if port is None else [block.replace("8081", str(port)) for block in blocks()]
    session[0] = f"cd {inside or directory}\n{session[0]}"
    return paste(session, directory, shell=shell, env=env)


def paste(
    session: list[str], directory: Path, *, shell: tuple[str, ...] = ("bash",), env: dict[str, str] | None = None
) -> list[str]:
    """Paste blocks one after the other into a shell; return what each has shown."""
    marker = "--- end of block ---"
    script = "".join(f"{block}\necho '{marker}'\n" for block in session)
    pasted = run(shell, SESSION_SECONDS, directory, env or environment(), typed=script)
    shown = pasted.shown.split(marker + "\n")
    assert len(shown) == len(session) + 1, pasted
    return shown[:-1]


def missing(shown: list[str], expected: tuple[tuple[str, ...], ...] = EXPECTED) -> list[str]:
    """Return what should have been shown and was not, block by block."""
    return [
        f"block {number}: no {pattern!r} in {output!r}"
        for number, (output, patterns) in enumerate(zip(shown, expected, strict=True), 1)
        for pattern in patterns
        if not re.search(pattern, output, re.IGNORECASE)
    ]

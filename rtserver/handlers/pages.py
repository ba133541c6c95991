"""Pages for people: what the problems mean (DESIGN 4.8), as HTML for browsers and as plain text for terminals."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from html import escape

import msgspec

from rtserver.errors import NotFound
from rtserver.handlers.base import BaseHandler
from rtserver.handlers.negotiation import weigh
from rtserver.handlers.problem import problem_body
from rtserver.problems import PAGES, Explanation, Page

STYLE = """
:root { color-scheme: light dark; }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .3em 0; }
h2 { font-size: 1.1rem; margin: 1.6em 0 .3em; }
p { margin: .3em 0; }
pre { border: 1px solid #8888; border-radius: .4rem;
  padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .95rem; }
a { color: #0b57b0; }
.status { font-variant-numeric: tabular-nums; color: #555; }
@media (prefers-color-scheme: dark) { a { color: #8ab8ff; } .status { color: #b5b5b5; } }
li { margin: .35em 0; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"


class Problems(BaseHandler):
    """The list of all problems."""

    needs_token = False

    async def get(self) -> None:
        pages = sorted(PAGES.items(), key=lambda item: (item[1].error.status, item[0]))
        entries = "".join(
            f'<li><span class="status">{page.error.status}</span> <a href="{self.config.base_path}/problems/{slug}">'
            f"{escape(page.error.title)}</a></li>"
            for slug, page in pages
        )
        self.send_page(
            "Problems",
            f"<h1>Problems</h1><p>What this server refuses, and what to do about it.</p><ul>{entries}</ul>",
            "".join(f"{page.error.status}  {slug:<24} {page.error.title}\n" for slug, page in pages),
        )

    def send_page(self, title: str, html: str, text: str) -> None:
        """Send HTML to who wants it at least as much as plain text."""
        accept = self.request.headers.get("Accept", "")
        self.vary_on("Accept")
        self.set_header("Cache-Control", "public, max-age=3600")
        # A terminal's */* wants no markup.
        if "html" in accept and weigh(accept, "text/html") >= weigh(accept, "text/plain"):
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Content-Security-Policy", POLICY)
            self.set_header("Referrer-Policy", "no-referrer")
            self.send(_document(title, html).encode())
        else:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.send(text.encode())


class Problem(Problems):
    """One problem: cause, example, remedy."""

    async def get(self, *path: str) -> None:
        slug = path[0]
        page = PAGES.get(slug)
        if page is None:
            raise NotFound(f"there is no problem {slug[:64]!r}; all are at {self.config.base_path}/problems")
        page = page._replace(explanation=self._here(page.explanation))
        self.send_page(page.error.title, self._html(page), self._text(page))

    def _here(self, explanation: Explanation) -> Explanation:
        """Return it with addresses as they are on this server."""
        return Explanation(*(part.replace("/api/", f"{self.config.base_path}/api/") for part in explanation))

    def _answer(self, page: Page) -> str:
        error = page.error.__new__(page.error)
        error.detail = page.explanation.detail
        instance = page.explanation.request.split()[1].partition("?")[0]
        return msgspec.json.format(problem_body(error, self.config.base_path, instance)).decode()

    def _html(self, page: Page) -> str:
        cause, remedy, request, _ = page.explanation
        return (
            f'<p class="status">{page.error.status} &middot; '
            f'<a href="{self.config.base_path}/problems">all problems</a></p>'
            f"<h1>{escape(page.error.title)}</h1>"
            f"<h2>What happened</h2><p>{escape(cause)}</p>"
            f"<h2>What to do</h2><p>{escape(remedy)}</p>"
            f"<h2>For example</h2><pre>{escape(request)}</pre><p>is answered {page.error.status}:</p>"
            f"<pre>{escape(self._answer(page))}</pre>"
        )

    def _text(self, page: Page) -> str:
        cause, remedy, request, _ = page.explanation
        return (
            f"{page.error.status} {page.error.title}\n\n"
            f"What happened:\n{_indented(cause)}\n\nWhat to do:\n{_indented(remedy)}\n\n"
            f"For example:\n{textwrap.indent(request, '  ')}\n\nis answered {page.error.status}:\n"
            f"{textwrap.indent(self._answer(page), '  ')}\n"
        )


def _indented(text: str) -> str:
    return textwrap.fill(text, 78, initial_indent="  ", subsequent_indent="  ")


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} - rtserver</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )

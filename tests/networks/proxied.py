"""The rows of real proxies: each as it comes, and with the settings that the documentation recommends."""

from __future__ import annotations

from tests.networks.row import SSE, Phase, Row

NAMES = {
    "nginx": "nginx", "haproxy": "HAProxy", "httpd": "Apache httpd", "caddy": "Caddy",
    "squid-reverse": "Squid, in front of the server", "squid": "Squid, as the proxy of the client",
}  # fmt: skip
KINDS = ("default", "recommended")
# Longer than the shortest time that any of them waits by itself: HAProxy's fifty seconds.
SECONDS = 75


def row(product: str, kind: str) -> Row:
    return Row(f"{NAMES[product]}, {kind} settings", (Phase(seconds=SECONDS, tier=SSE),), f"{product} {kind}")


PROXIED: tuple[Row, ...] = tuple(row(product, kind) for product in NAMES for kind in KINDS)

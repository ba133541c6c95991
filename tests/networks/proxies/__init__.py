"""The real proxies, each in a process of its own: with the settings it comes with, or with those of docs/proxies."""

from tests.networks.proxies.programs import PROXIES, Caddy, HAProxy, Httpd, Nginx, Squid
from tests.networks.proxies.real import KINDS, RealProxy

__all__ = ["KINDS", "PROXIES", "Caddy", "HAProxy", "Httpd", "Nginx", "RealProxy", "Squid"]

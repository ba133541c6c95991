"""Where a request comes from: the address behind the proxies that are to be believed, and its network.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# What Tornado calls the peer of a unix socket.
UNIX_PEER = "0.0.0.0"
# What an office, or a household, has of each: clients in one of these share their trouble.
V4_PREFIX, V6_PREFIX = 24, 48
# More hops than any request passes; the rest of a longer list is somebody's invention.
MAX_HOPS = 30

Address = IPv4Address | IPv6Address


class Proxies:
    """The proxies before this server whose word on a client is believed."""

    def __init__(self, named: Iterable[str]) -> None:
        """``named`` are addresses and networks, as the setting trusted_proxies has them."""
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(each) for each in named]

    def __contains__(self, text: str) -> bool:
        address = _read(text)
        if address is None:
            return False
        # Who can open the socket in the file system has been let in there.
        is_unix = text == UNIX_PEER and bool(self._networks)
        return is_unix or any(address in network for network in self._networks)

    def client_address(self, peer: str, forwarded_for: Iterable[str]) -> str:
        """Return who asked: the last address in ``X-Forwarded-For`` that no believed proxy has.

        Each proxy writes down whom it was asked by, at the end; what stands before the first that is not believed may
        be anybody's invention.
        """
        if not self._networks:
            return peer
        client = peer
        hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
        for hop in reversed(hops[-MAX_HOPS:]):
            address = _read(hop)
            if client not in self or address is None:
                break
            client = str(address)
        return client


NOBODY = Proxies(())


def is_this_machine(peer: str) -> bool:
    """Whether a peer is on this machine, where only its operator can put a proxy."""
    address = _read(peer)
    return peer == UNIX_PEER or (address is not None and address.is_loopback)


def network_of(address: str) -> str:
    """Return the network of an address, like 192.0.2.0/24; what is no address is returned as it is."""
    found = _read(address)
    if found is None:
        return address[:64]
    prefix = V4_PREFIX if found.version == 4 else V6_PREFIX
    return str(ip_network((found, prefix), strict=False))


def _read(text: str) -> Address | None:
    """Return the address in ``192.0.2.1``, ``2001:db8::1``, ``[2001:db8::1]:443`` or ``192.0.2.1:443``, or None."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found

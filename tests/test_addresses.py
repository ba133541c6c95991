"""Who asks, behind proxies: only what a believed one wrote counts, and no invention gets through."""

import pytest

from rtserver.addresses import NOBODY, Proxies, is_this_machine, network_of

OFFICE = Proxies(["10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        ("10.1.1.1", ["198.51.100.7:51234"], "198.51.100.7"),
        ("10.1.1.1", ["[2001:db9::7]:51234"], "2001:db9::7"),
        ("10.1.1.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["unknown"], "10.1.1.1"),
        ("10.1.1.1", ["198.51.100.7, _hidden"], "10.1.1.1"),
        ("10.1.1.1", [""], "10.1.1.1"),
        ("2001:db8::1", ["198.51.100.7"], "198.51.100.7"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("0.0.0.0", ["198.51.100.7"], "198.51.100.7"),
    ],
)
def test_the_client_is_the_last_that_no_believed_proxy_has(peer, forwarded_for, client):
    """P6."""
    assert OFFICE.client_address(peer, forwarded_for) == client


def test_without_trusted_proxies_the_peer_is_the_client_whatever_it_says():
    """P6."""
    assert NOBODY.client_address("0.0.0.0", ["198.51.100.7"]) == "0.0.0.0"
    assert NOBODY.client_address("127.0.0.1", ["198.51.100.7"]) == "127.0.0.1"


@pytest.mark.parametrize("hops", [29, 30, 31])
def test_of_a_long_list_so_many_hops_are_read(hops):
    """P4."""
    line = ", ".join(["198.51.100.7", *["10.0.0.1"] * (hops - 1)])
    expected = "198.51.100.7" if hops <= 30 else "10.0.0.1"
    assert OFFICE.client_address("10.1.1.1", [line]) == expected


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("nowhere", "nowhere"),
    ],
)
def test_a_network_is_what_an_office_has(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(("peer", "expected"), [("127.0.0.9", True), ("::1", True), ("0.0.0.0", True), ("x", False)])
def test_this_machine_is_the_loopback_or_a_unix_socket(peer, expected):
    assert is_this_machine(peer) is expected

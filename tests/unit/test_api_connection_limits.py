"""Which connections are served, which give way, and who counts as one client."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import count

import pytest

from previewops.api.client_address import MAX_HOPS, ClientAddresses, client_key
from previewops.api.connection_limits import (
    RESERVED_CONNECTIONS,
    Admission,
    BusyConnections,
    ConnectionLimits,
)
from previewops.api.errors import Overloaded
from previewops.errors import UsageError
from previewops.settings import Settings

ONE, OTHER, THIRD, PROXY = "192.0.2.1", "192.0.2.2", "192.0.2.3", "10.0.0.1"
PROXIES = ClientAddresses((ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")))


class Connections:
    """Connections by number; ``new`` opens one."""

    def __init__(self, most: int, per_client: int) -> None:
        self.limits: ConnectionLimits[int] = ConnectionLimits(most, per_client, PROXIES.is_shared)
        self._numbers = count(1)

    def new(self, address: str, *, busy: bool = False) -> tuple[int, Admission, int | None]:
        number = next(self._numbers)
        admission, victim = self.limits.open(number, address)
        if busy:
            self.limits.set_busy(number)
        return number, admission, victim


def test_oldest_unused_connection_of_the_client_with_most_gives_way() -> None:
    connections = Connections(4, 3)
    connections.new(OTHER)
    victims = [connections.new(ONE)[0] for _ in range(3)]
    assert connections.new(THIRD)[1:] == (Admission.FULL, victims[0])
    assert connections.new(THIRD)[1:] == (Admission.FULL, victims[1])
    assert len(connections.limits) == 4


def test_unused_connections_give_way_before_idle_ones() -> None:
    connections = Connections(3, 3)
    first, second = (connections.new(ONE, busy=True)[0] for _ in range(2))
    connections.limits.set_idle(second)
    connections.limits.set_idle(first)
    unused = connections.new(OTHER)[0]
    assert connections.new(THIRD, busy=True)[2] == unused
    assert connections.new(THIRD, busy=True)[2] == second  # it has been idle for longer
    assert connections.new(THIRD, busy=True)[2] == first
    assert connections.new(OTHER)[1:] == (Admission.PROBES, None)


def test_one_client_has_only_its_share() -> None:
    connections = Connections(10, 2)
    for _ in range(2):
        connections.new(ONE, busy=True)
    number, admission, victim = connections.new(ONE)
    assert (admission, victim) == (Admission.PROBES_OF_CLIENT, None)
    assert connections.new(OTHER)[1] is Admission.FULL
    connections.limits.close(number)
    connections.limits.close(number)
    connections.limits.set_idle(number)
    connections.limits.set_idle(1)
    assert connections.new(ONE)[1:] == (Admission.FULL, 1)
    assert len(connections.limits) == 3


def test_closed_connections_return_their_share() -> None:
    connections = Connections(10, 2)
    for _ in range(5):
        number, admission, _victim = connections.new(ONE, busy=True)
        assert admission is Admission.FULL
        connections.limits.close(number)
    connections.limits.set_busy(99)  # never opened
    connections.limits.set_idle(99)
    assert len(connections.limits) == 0


def test_a_token_holds_its_share_of_busy_connections_until_they_are_answered() -> None:
    busy = BusyConnections(2)
    with busy.hold("a"), busy.hold("a"):
        with pytest.raises(Overloaded), busy.hold("a"):
            pass
        with busy.hold("b"), busy.hold(None), busy.hold(None), busy.hold(None):
            pass
    with busy.hold("a"), busy.hold("a"):
        pass


@pytest.mark.parametrize("address", [PROXY, "127.0.0.1", "::1", "2001:db8::5", "::ffff:10.1.1.1"])
def test_shared_address_has_no_share_of_its_own(address: str) -> None:
    connections = Connections(5, 2)
    assert {connections.new(address, busy=True)[1] for _ in range(5)} == {Admission.FULL}
    assert connections.new(address)[1] is Admission.PROBES


def test_an_unreadable_address_is_not_shared() -> None:
    assert not PROXIES.is_shared("")
    assert not PROXIES.is_proxy("unknown")


def test_reserved_connections_are_bounded() -> None:
    connections = Connections(1, 1)
    for _ in range(RESERVED_CONNECTIONS + 1):
        assert connections.new(PROXY, busy=True)[1] is not Admission.REJECTED
    assert connections.new(PROXY)[1:] == (Admission.REJECTED, None)
    connections.limits.set_idle(1)
    assert connections.new(PROXY)[1:] == (Admission.FULL, 1)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (ONE, "", ONE),
        (ONE, OTHER, ONE),
        (PROXY, "", PROXY),
        (PROXY, OTHER, OTHER),
        (PROXY, f"{THIRD}, {OTHER}", OTHER),
        (PROXY, f"{OTHER}, 10.9.9.9", OTHER),
        (PROXY, "10.9.9.9", "10.9.9.9"),
        (PROXY, f"{OTHER}, unknown", PROXY),
        (PROXY, f"{OTHER},", PROXY),
        (PROXY, "2001:DB9::7", "2001:db9::7"),
        (PROXY, f"{OTHER}:50123", OTHER),
        (PROXY, "[2001:db9::7]:50123", "2001:db9::7"),
        (PROXY, "[2001:db9::7]", "2001:db9::7"),
        (PROXY, f"{OTHER}:port", PROXY),
        (PROXY, ", ".join([OTHER, *["10.9.9.9"] * MAX_HOPS]), "10.9.9.9"),
        ("", OTHER, ""),
    ],
)
def test_client_behind_proxies(peer: str, forwarded: str, client: str) -> None:
    assert PROXIES.resolve(peer, forwarded) == client


def test_without_proxies_the_header_is_ignored() -> None:
    assert ClientAddresses().resolve(PROXY, OTHER) == PROXY
    assert ClientAddresses().resolve("127.0.0.1", OTHER) == "127.0.0.1"


def test_ipv6_network_is_one_client() -> None:
    assert client_key("2001:db8::1") == client_key("2001:db8::2:3")
    assert client_key("2001:db8::1") != client_key("2001:db8:0:1::1")
    assert client_key("fe80::1%eth0") == "fe80::/64"
    assert [client_key(item) for item in ("10.0.0.1", "", "not:an:address")] == [
        "10.0.0.1",
        "",
        "not:an:address",
    ]


def test_settings_of_clients() -> None:
    settings = Settings.from_env({"PREVIEW_API_PROXIES": "10.0.0.0/8, ::1", "PREVIEW_API_CLIENT_SHARE": "10"})
    assert settings.api_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert [settings.api_share(total) for total in (1, 5, 100)] == [1, 1, 10]
    for value in ("nginx", "10.0.0.1/8", "10.0.0.0/33"):
        with pytest.raises(UsageError, match="PREVIEW_API_PROXIES"):
            Settings.from_env({"PREVIEW_API_PROXIES": value})

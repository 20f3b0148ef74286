"""Which network interface and DDS domain the stack and the simulated robot may use. Pure rules over data.

A simulated robot on a real robot's network would move the real one's controllers, and the other way round, so the two
never share an interface or a domain.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from dbp_policy import clock
from dbp_policy.errors import DbpError

ROBOT_DOMAIN = 0
SIMULATION_DOMAIN = 1
"""DDS domains of a real robot and of a simulated one (unitreerobotics/unitree_mujoco)."""

ROBOT_SUBNET = ipaddress.ip_network("192.168.123.0/24")
"""Where a Go2 and its computers live."""

MAX_DOMAIN = 232
"""Largest domain whose ports fit into 16 bits (DDSI-RTPS 2.2, 9.6.1)."""


class NetworkError(DbpError):
    """An interface or domain that must not be used here."""


@dataclass(frozen=True)
class Interface:
    """One network interface of this machine."""

    name: str
    addresses: tuple[str, ...]
    """IPv4 addresses with prefix length, such as "192.168.123.99/24"."""
    is_loopback: bool = False
    is_up: bool = True
    """Switched on, and the cable (or the other end) is there."""
    has_multicast: bool = True
    """DDS finds others by multicast; loopback does without."""


def check_robot_network(name: str, domain: int, interfaces: Sequence[Interface], *, dds_version: str) -> None:
    """Lets a controller onto a network with a robot, real (domain 0) or simulated (another domain).

    Args:
        name: Interface to use.
        domain: DDS domain.
        interfaces: The machine's interfaces.
        dds_version: Version of CycloneDDS.

    Raises:
        NetworkError: The reason against it, a clock slowed down before a real robot included.
    """
    check_domain(domain)
    interface = find_interface(name, interfaces)
    if interface.is_loopback and domain == ROBOT_DOMAIN:
        raise NetworkError(f"expected an interface that leads to a robot, got loopback {name!r} on domain 0")
    if domain == ROBOT_DOMAIN and clock.real_time_factor() != 1.0:
        raise NetworkError(f"a real robot has no slow motion: expected no {clock.VARIABLE} in the environment")
    check_dds(interface, dds_version)


def check_real_network(name: str, domain: int, interfaces: Sequence[Interface], *, dds_version: str) -> None:
    """What the real stack asks beyond `check_robot_network`: never loopback, and a domain other than 0, which only
    tests with a simulated robot use, on a private interface alone.

    Args:
        name: Interface to use.
        domain: DDS domain.
        interfaces: The machine's interfaces.
        dds_version: Version of CycloneDDS.

    Raises:
        NetworkError: The reason against it.
    """
    interface = find_interface(name, interfaces)
    if interface.is_loopback:
        raise NetworkError(f"expected an interface that leads to a robot, got loopback {name!r}")
    if domain != ROBOT_DOMAIN:
        _check_private(interface)
    check_robot_network(name, domain, interfaces, dds_version=dds_version)


def check_simulation_network(
    name: str,
    domain: int,
    interfaces: Sequence[Interface],
    *,
    dds_version: str,
    allow_private_interface: bool = False,
) -> None:
    """Keeps a simulated robot away from real ones: loopback, never domain 0, never the robot's subnet.

    Args:
        name: Interface to use.
        domain: DDS domain.
        interfaces: The machine's interfaces.
        dds_version: Version of CycloneDDS.
        allow_private_interface: Also allow an interface with private addresses only, for tests of the real path.

    Raises:
        NetworkError: The reason against it.
    """
    if domain == ROBOT_DOMAIN:
        raise NetworkError("simulation expected a DDS domain other than 0, which is the real robot's")
    check_domain(domain)
    interface = find_interface(name, interfaces)
    _check_off_the_robot(interface)
    if interface.is_loopback:
        return
    if not allow_private_interface:
        raise NetworkError(f"simulation expected the loopback interface, got {name!r}")
    _check_private(interface)
    check_dds(interface, dds_version)


def check_domain(domain: int) -> None:
    """Raises `NetworkError` for a number that is no DDS domain."""
    if not 0 <= domain <= MAX_DOMAIN:
        raise NetworkError(f"expected a DDS domain from 0 to {MAX_DOMAIN}, got {domain}")


def find_interface(name: str, interfaces: Sequence[Interface]) -> Interface:
    """The interface of this name, if it can serve.

    Raises:
        NetworkError: It does not exist, is down, or has no address.
    """
    found = next((interface for interface in interfaces if interface.name == name), None)
    if found is None:
        names = ", ".join(interface.name for interface in interfaces)
        raise NetworkError(f"expected one of this machine's network interfaces ({names}), got {name!r}")
    if not found.is_up:
        raise NetworkError(f"expected an interface that is up, got {name!r} without link: is its cable in?")
    if not found.addresses:
        raise NetworkError(f"expected an interface with an IPv4 address, got {name!r} without one")
    return found


def check_dds(interface: Interface, dds_version: str) -> None:
    """Raises `NetworkError` for a CycloneDDS that must not appear on this interface."""
    if not interface.is_loopback and dds_version.split(".")[:2] != ["0", "10"]:
        raise NetworkError(
            f"expected CycloneDDS 0.10.x on {interface.name!r}, got {dds_version}: it would crash the robot's own "
            "0.10 participants, so it serves on loopback only"
        )


def _check_off_the_robot(interface: Interface) -> None:
    for address in map(ipaddress.ip_interface, interface.addresses):
        if address.network.overlaps(ROBOT_SUBNET):
            where = f"{address} on {interface.name}"
            raise NetworkError(f"simulation expected no address on the robot's {ROBOT_SUBNET}, got {where}")


def _check_private(interface: Interface) -> None:
    _check_off_the_robot(interface)
    for address in map(ipaddress.ip_interface, interface.addresses):
        if not address.ip.is_private:
            raise NetworkError(f"simulation expected private addresses only, got {address} on {interface.name}")

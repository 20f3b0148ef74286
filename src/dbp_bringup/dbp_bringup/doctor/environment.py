"""Checks of this computer: interface, DDS, domain, multicast, ROS middleware, clock. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbp_bringup.doctor.finding import Finding, fault, ok, warning
from dbp_policy.guard.thresholds import BEAT_TIMEOUT
from dbp_policy.unitree.network import (
    ROBOT_DOMAIN,
    ROBOT_SUBNET,
    Interface,
    NetworkError,
    check_dds,
    check_domain,
    check_real_network,
    check_robot_network,
    find_interface,
)

ADDRESS = "192.168.123.99/24"
"""What Unitree's guide gives a computer on the robot's cable."""
ROBOT_DDS = "0.10.2"
"""What the robot runs; which version is here is another finding."""
CLOCK_FROM = 1_735_689_600.0
"""1 January 2025: a computer without battery wakes up before it, until it has heard a time server [s since 1970]."""
TIMER_WATCH = 1.0
"""How long the timer is watched [s]."""
CLOCK_STEP = 0.05
"""A clock set by more than this while the doctor looks [s]."""


@dataclass(frozen=True)
class Machine:
    """What the checks need to know of this computer."""

    interfaces: Sequence[Interface]
    dds_version: str
    """Of CycloneDDS's Python package; empty if there is none."""
    dds_libraries: Sequence[str]
    """Files of CycloneDDS that this process has loaded."""
    variables: Mapping[str, str]
    """Environment variables."""
    wall_time: float
    """[s since 1970]"""
    clock_step: float = 0.0
    """By how much the wall clock was set while the doctor looked [s]."""


def check_environment(name: str, domain: int, machine: Machine) -> list[Finding]:
    """Everything but the clock, which has to be watched first.

    Args:
        name: Interface to use.
        domain: DDS domain.
        machine: This computer.
    """
    findings = [_interface(name, domain, machine.interfaces), _domain(name, domain, machine)]
    findings += [_dds(name, machine), _middleware(machine)]
    interface = next((i for i in machine.interfaces if i.name == name), None)
    return findings if interface is None else [*findings, _multicast(interface)]


def _interface(name: str, domain: int, interfaces: Sequence[Interface]) -> Finding:
    try:
        interface = find_interface(name, interfaces)
    except NetworkError as error:
        return fault("interface", str(error), f"plug in the robot's cable, set its interface to {ADDRESS}, and name it")
    addresses = ", ".join(interface.addresses)
    on_subnet = any(ipaddress.ip_interface(a).ip in ROBOT_SUBNET for a in interface.addresses)
    if domain == ROBOT_DOMAIN and not interface.is_loopback and not on_subnet:
        mend = f"is it the robot's cable? Then: sudo ip address add {ADDRESS} dev {name}"
        return warning("interface", f"{name} has {addresses}, nothing in the robot's {ROBOT_SUBNET}", mend)
    return ok("interface", f"{name}, {addresses}")


def _domain(name: str, domain: int, machine: Machine) -> Finding:
    rule = check_robot_network if _is_loopback(name, machine) else check_real_network
    usable = any(i.name == name and i.is_up and i.addresses for i in machine.interfaces)  # else that is the finding
    try:
        check_domain(domain)
        if usable:
            rule(name, domain, machine.interfaces, dds_version=ROBOT_DDS)
    except NetworkError as error:
        mend = "domain 0 on the robot's cable; for the simulation --network-interface lo --domain 1"
        return fault("domain", str(error), mend)
    return ok("domain", f"{domain}, {'the real robot' if domain == ROBOT_DOMAIN else 'a simulation'}'s")


def _dds(name: str, machine: Machine) -> Finding:
    mend = "./dbp setup (it builds 0.10 where a C compiler is), or requirements/install_unitree.sh"
    version = machine.dds_version
    if not version:
        return fault("cyclonedds", "it is not installed", mend)
    if _is_loopback(name, machine):
        if version.startswith("0.10."):
            return ok("cyclonedds", version)
        return warning("cyclonedds", f"{version}, which serves on loopback only", mend)
    try:
        check_dds(Interface(name, ()), version)
    except NetworkError as error:
        return fault("cyclonedds", str(error), mend)
    return ok("cyclonedds", version)


def _multicast(interface: Interface) -> Finding:
    if interface.is_loopback:
        return ok("multicast", "not needed on loopback")
    if not interface.has_multicast:
        mend = f"sudo ip link set {interface.name} multicast on"
        return fault("multicast", f"{interface.name} does not carry it: DDS finds no robot", mend)
    return ok("multicast", f"on {interface.name}")


def _middleware(machine: Machine) -> Finding:
    """ROS's CycloneDDS and Unitree's are two builds: in one process they corrupt each other's memory, and on one domain
    ROS's nodes meet the robot's."""
    chosen = machine.variables.get("RMW_IMPLEMENTATION", "")
    if "cyclonedds" in chosen:
        mend = "export RMW_IMPLEMENTATION=rmw_fastrtps_cpp (or unset it) in this terminal"
        return fault("middleware", f"RMW_IMPLEMENTATION={chosen} brings a second CycloneDDS", mend)
    ros = [p for p in machine.variables.get("AMENT_PREFIX_PATH", "").split(":") if p] + ["/opt/ros"]
    foreign = [f for f in machine.dds_libraries if any(f.startswith(p.rstrip("/") + "/") for p in ros)]
    if foreign:
        mend = "unset LD_LIBRARY_PATH, or use ./dbp"
        return fault("middleware", f"CycloneDDS was loaded from ROS: {foreign[0]}", mend)
    if machine.variables.get("CYCLONEDDS_URI"):
        mend = "unset CYCLONEDDS_URI: the stack configures its own and does not read it, other programs do"
        return warning("middleware", "CYCLONEDDS_URI is set", mend)
    return ok("middleware", chosen or "ROS's default")


def check_clock(machine: Machine) -> Finding:
    """DDS counts its waits on the wall clock, and recordings are stamped by it."""
    mend = "let it hear a time server (timedatectl), and wait until it has settled"
    if not machine.wall_time >= CLOCK_FROM:
        return warning("clock", "the date is before 2025", mend)
    if not abs(machine.clock_step) <= CLOCK_STEP:
        return warning("clock", f"it was set by {machine.clock_step:+.2f} s while the doctor looked", mend)
    return ok("clock", f"steady to {1e3 * abs(machine.clock_step):.0f} ms")


def check_timer(late: float) -> Finding:
    """How late a timer of the guard's kind was at worst [s]; held up for `BEAT_TIMEOUT` the guard is replaced."""
    found = f"a timer of the guard's kind was up to {1e3 * late:.1f} ms late in {TIMER_WATCH:g} s"
    if not late <= 0.5 * BEAT_TIMEOUT:
        mend = f"close other programs, permit real-time priority (docs/onboard.md); at {1e3 * BEAT_TIMEOUT:.0f} ms "
        return warning("timer", found, mend + "the robot is damped: a virtual machine may never do")
    return ok("timer", found)


def _is_loopback(name: str, machine: Machine) -> bool:
    return any(i.name == name and i.is_loopback for i in machine.interfaces)

"""The doctor on a made-up computer: every check from both sides of its bound, and each fault with its mend."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dbp_bringup.doctor.environment import CLOCK_FROM, CLOCK_STEP, Machine, check_clock, check_environment, check_timer
from dbp_bringup.doctor.finding import Finding, Level, as_json, fault, lines, ok, warning, worst
from dbp_policy.unitree.network import Interface

INTERFACES = (
    Interface("lo", ("127.0.0.1/8",), is_loopback=True, has_multicast=False),
    Interface("eth0", ("192.168.123.99/24",)),
    Interface("eth1", ("10.1.2.3/24",)),
    Interface("mute", ("192.168.123.98/24",), has_multicast=False),
    Interface("unplugged", ("192.168.123.97/24",), is_up=False),
)
GOOD = Machine(INTERFACES, "0.10.2", ("/venv/cyclonedds.libs/libddsc-1.so",), {}, CLOCK_FROM)


def findings(name: str = "eth0", domain: int = 0, **changes) -> dict[str, Finding]:
    found = {f.name: f for f in check_environment(name, domain, replace(GOOD, **changes))}
    for finding in found.values():
        assert bool(finding.mend) == (finding.level != Level.OK), "what is not well has a mend, what is has none"
    return found


def grave(found: dict[str, Finding]) -> dict[str, Level]:
    return {name: f.level for name, f in found.items() if f.level != Level.OK}


@pytest.mark.parametrize(("name", "domain"), [("eth0", 0), ("lo", 1), ("lo", 77), ("eth1", 77)])
def test_all_is_well(name, domain):
    assert not grave(findings(name, domain))


@pytest.mark.parametrize(
    ("name", "words"), [("eth7", "lo, eth0, eth1, mute, unplugged"), ("unplugged", "without link")]
)
def test_an_interface_that_cannot_serve(name, words):
    found = findings(name)
    assert grave(found) == {"interface": Level.FAULT}
    assert words in found["interface"].found and "192.168.123.99/24" in found["interface"].mend


def test_a_cable_that_may_be_another_networks_is_warned_of():
    found = findings("eth1")
    assert grave(found) == {"interface": Level.WARNING}
    assert "sudo ip address add 192.168.123.99/24 dev eth1" in found["interface"].mend


@pytest.mark.parametrize(("name", "domain"), [("lo", 0), ("eth0", 1), ("eth0", 233), ("lo", -1)])
def test_a_domain_that_does_not_fit_the_interface(name, domain):
    found = findings(name, domain)
    assert grave(found) == {"domain": Level.FAULT} and "domain 0 on the robot's cable" in found["domain"].mend


@pytest.mark.parametrize("version", ["11.0.1", "0.9.0", "0.11.0"])
def test_another_cyclonedds(version):
    found = findings(dds_version=version)
    assert grave(found) == {"cyclonedds": Level.FAULT}
    assert f"got {version}" in found["cyclonedds"].found and "./dbp setup" in found["cyclonedds"].mend
    assert grave(findings("lo", 1, dds_version=version)) == {"cyclonedds": Level.WARNING}


def test_no_cyclonedds():
    assert grave(findings("lo", 1, dds_version="")) == {"cyclonedds": Level.FAULT}


def test_no_multicast_matters_except_on_loopback():
    found = findings("mute")
    assert grave(found) == {"multicast": Level.FAULT} and "multicast on" in found["multicast"].mend


@pytest.mark.parametrize(
    ("variables", "libraries", "level"),
    [
        ({"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}, (), None),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, (), Level.FAULT),
        ({"CYCLONEDDS_URI": "file:///etc/cyclonedds.xml"}, (), Level.WARNING),
        ({}, ("/opt/ros/jazzy/lib/x86_64-linux-gnu/libddsc.so.0",), Level.FAULT),
        ({"AMENT_PREFIX_PATH": "/home/me/ws/install"}, ("/home/me/ws/install/lib/libddsc.so",), Level.FAULT),
        ({"AMENT_PREFIX_PATH": "/home/me/ws/install"}, ("/home/me/venv/lib/libddsc.so",), None),
    ],
)
def test_a_middleware_that_clashes(variables, libraries, level):
    found = findings(variables=variables, dds_libraries=libraries)
    assert grave(found) == ({"middleware": level} if level else {})


@pytest.mark.parametrize(
    ("wall", "step", "level"),
    [
        (CLOCK_FROM, 0.0, Level.OK),
        (CLOCK_FROM - 1.0, 0.0, Level.WARNING),
        (CLOCK_FROM, 0.9 * CLOCK_STEP, Level.OK),
        (CLOCK_FROM, 1.1 * CLOCK_STEP, Level.WARNING),
        (CLOCK_FROM, -1.1 * CLOCK_STEP, Level.WARNING),
        (float("nan"), 0.0, Level.WARNING),
    ],
)
def test_the_clock(wall, step, level):
    assert check_clock(replace(GOOD, wall_time=wall, clock_step=step)).level == level


@pytest.mark.parametrize(
    "late, level", [(0.0, Level.OK), (0.0075, Level.OK), (0.0076, Level.WARNING), (math.nan, Level.WARNING)]
)
def test_a_timer_that_comes_near_what_the_standby_waits_is_a_warning(late, level):
    finding = check_timer(late)
    assert finding.level == level and (level == Level.OK or "at 15 ms the robot is damped" in finding.mend)


def test_a_list_of_findings_reads_and_counts():
    some = [ok("a", "fine"), warning("b", "so so", "look"), fault("c", "broken", "mend it")]
    assert [worst(some[:n]) for n in range(4)] == [Level.OK, Level.OK, Level.WARNING, Level.FAULT]
    assert lines(some[0]).split() == ["ok", "a", "fine"] and lines(some[2]).endswith("-> mend it")
    assert as_json(some)[1] == {"name": "b", "level": "warning", "found": "so so", "mend": "look"}

"""Where a simulated robot and a controller may go: every rule from both sides."""

from __future__ import annotations

import pytest

from dbp_policy.unitree import interfaces, sdk
from dbp_policy.unitree.network import (
    Interface,
    NetworkError,
    check_real_network,
    check_robot_network,
    check_simulation_network,
)

MACHINE = (
    Interface("lo", ("127.0.0.1/8",), is_loopback=True),
    Interface("robot", ("192.168.123.99/24",)),
    Interface("both", ("10.0.0.2/24", "192.168.123.7/24")),
    Interface("wide", ("192.168.1.2/16",)),
    Interface("private", ("10.1.2.3/24",)),
    Interface("public", ("8.8.8.8/24",)),
    Interface("mixed", ("10.1.2.3/24", "8.8.8.8/24")),
    Interface("bare", ()),
    Interface("unplugged", ("192.168.123.98/24",), is_up=False),
)
GOOD_DDS = "0.10.2"


def simulation(name: str, domain: int = 1, dds: str = GOOD_DDS, allow: bool = False) -> None:
    check_simulation_network(name, domain, MACHINE, dds_version=dds, allow_private_interface=allow)


def robot(name: str, domain: int = 0, dds: str = GOOD_DDS) -> None:
    check_robot_network(name, domain, MACHINE, dds_version=dds)


class TestSimulation:
    @pytest.mark.parametrize("domain", [1, 2, 232])
    @pytest.mark.parametrize("allow", [False, True])
    @pytest.mark.parametrize("dds", [GOOD_DDS, "11.0.1"])
    def test_loopback_is_fine(self, domain, allow, dds):
        simulation("lo", domain, dds, allow)

    @pytest.mark.parametrize("name", [interface.name for interface in MACHINE])
    @pytest.mark.parametrize("allow", [False, True])
    def test_never_the_robots_domain(self, name, allow):
        with pytest.raises(NetworkError, match="other than 0"):
            simulation(name, 0, allow=allow)

    @pytest.mark.parametrize("name", ["robot", "both", "wide"])
    @pytest.mark.parametrize("allow", [False, True])
    def test_never_the_robots_network(self, name, allow):
        with pytest.raises(NetworkError, match="192.168.123.0/24"):
            simulation(name, allow=allow)

    def test_loopback_with_a_robots_address_is_no_loopback(self):
        odd = (Interface("lo", ("127.0.0.1/8", "192.168.123.50/32"), is_loopback=True),)
        with pytest.raises(NetworkError, match="192.168.123.0/24"):
            check_simulation_network("lo", 1, odd, dds_version=GOOD_DDS)

    def test_another_interface_only_when_asked_for(self):
        with pytest.raises(NetworkError, match="loopback"):
            simulation("private")
        simulation("private", allow=True)

    @pytest.mark.parametrize("name", ["public", "mixed"])
    def test_never_a_public_one(self, name):
        with pytest.raises(NetworkError, match="private"):
            simulation(name, allow=True)


class TestRobot:
    @pytest.mark.parametrize("name", ["robot", "both", "private"])
    def test_a_network_with_a_robot(self, name):
        robot(name)

    def test_no_robot_lives_on_loopback(self):
        with pytest.raises(NetworkError, match="loopback"):
            robot("lo")
        robot("lo", domain=1)


class TestReal:
    """What `dbp real` asks beyond that."""

    @staticmethod
    def real(name: str, domain: int = 0, dds: str = GOOD_DDS) -> None:
        check_real_network(name, domain, MACHINE, dds_version=dds)

    @pytest.mark.parametrize("name", ["robot", "both", "private", "public"])
    def test_domain_0_on_any_cable(self, name):
        self.real(name)

    @pytest.mark.parametrize("domain", [0, 1, 77])
    def test_never_loopback(self, domain):
        with pytest.raises(NetworkError, match="got loopback 'lo'"):
            self.real("lo", domain)

    def test_a_tests_domain_only_on_a_private_interface_off_the_robots_network(self):
        self.real("private", 77)
        for name in ("robot", "both", "wide"):
            with pytest.raises(NetworkError, match="192.168.123.0/24"):
                self.real(name, 77)
        for name in ("public", "mixed"):
            with pytest.raises(NetworkError, match="private"):
                self.real(name, 77)

    def test_another_dds_is_refused(self):
        with pytest.raises(NetworkError, match="got 11.0.1: it would crash"):
            self.real("robot", dds="11.0.1")


class TestBoth:
    @pytest.mark.parametrize("version", ["11.0.1", "0.9.0", "0.11.0", "1.0"])
    def test_another_dds_stays_on_loopback_and_says_why(self, version):
        with pytest.raises(NetworkError, match=f"got {version}: it would crash"):
            robot("robot", dds=version)
        with pytest.raises(NetworkError, match=f"got {version}: it would crash"):
            simulation("private", dds=version, allow=True)
        robot("lo", domain=1, dds=version)
        simulation("lo", dds=version)

    @pytest.mark.parametrize("check", [robot, simulation])
    def test_what_does_not_exist(self, check):
        with pytest.raises(NetworkError, match=r"\(lo, robot, both.*got 'eth7'"):
            check("eth7", domain=1)
        with pytest.raises(NetworkError, match="IPv4"):
            check("bare", domain=1)
        with pytest.raises(NetworkError, match="is its cable in"):
            check("unplugged", domain=1)
        for domain in (-1, 233):
            with pytest.raises(NetworkError, match="from 0 to 232"):
                check("lo", domain=domain)


def test_this_machine_has_a_loopback():
    loopback = [interface for interface in interfaces.list_interfaces() if interface.is_loopback]
    assert any("127.0.0.1/8" in interface.addresses and interface.is_up for interface in loopback)


@pytest.mark.parametrize(
    ("version", "compatible"),
    [("0.10.2", True), ("0.10.5", True), ("0.1.0", False), ("0.100.0", False), ("11.0.1", False)],
)
def test_dds_versions_a_robot_can_live_with(version, compatible):
    assert sdk.dds_is_robot_compatible(version) is compatible

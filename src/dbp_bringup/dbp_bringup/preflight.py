"""What the real stack does before it starts: the doctor looks, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from dbp_bringup import stack
from dbp_bringup.supervisor import executable_path
from dbp_policy.errors import DbpError
from dbp_policy.unitree import interfaces, network, sdk


def checked_real_stack(values: Mapping[str, str]) -> tuple[stack.Process, ...]:
    """The real stack's processes, once the doctor has found no fault; its findings go to this terminal.

    The doctor is a process of its own because it opens Unitree's DDS, which never shares one with ROS.

    Args:
        values: By the names of `stack.REAL_ARGUMENTS`.

    Raises:
        DbpError: An argument does not fit, the network is not allowed, or the doctor found a fault.
    """
    processes = stack.real_stack(values)
    interface, domain = values["network_interface"], stack.real_domain(values)
    if not domain.isdecimal():
        raise DbpError(f"test_domain: expected a DDS domain, got {domain!r}")
    network.check_real_network(interface, int(domain), interfaces.list_interfaces(), dds_version=sdk.dds_version())
    command = ["--network-interface", interface, "--domain", domain]
    if values.get("runtime_dir"):
        command += ["--runtime-dir", values["runtime_dir"]]
    doctor = executable_path(stack.Process("doctor", "dbp_bringup", "doctor"))
    if subprocess.run([sys.executable, str(doctor), *command]).returncode:
        raise DbpError("expected the doctor to find no fault, got the above: mend it and start again")
    return processes

import os
from collections.abc import Iterator

import domains
import pytest
import running_stack

from dbp_policy import clock
from dbp_policy.unitree.channels import Participant

CORES = 4
"""With fewer the stack runs in slow motion: the simulated robot takes up to half a core that a real one does not, a
test its own, and all of them near the 95 % that Linux leaves to real-time programs."""
FACTOR = 0.6


@pytest.fixture(autouse=True)
def slow_motion_on_few_cores() -> Iterator[None]:
    """Of this process's clock, and of all that the test starts."""
    before = clock.real_time_factor()
    if len(os.sched_getaffinity(0)) < CORES:
        clock.slow_down(FACTOR)
    yield
    clock.slow_down(before)


@pytest.fixture
def domain() -> int:
    """A DDS domain hardly anyone else is on."""
    return domains.fresh()


@pytest.fixture
def participant(domain: int) -> Iterator[Participant]:
    participant = Participant("lo", domain)
    yield participant
    participant.close()


def pytest_terminal_summary(terminalreporter):
    if running_stack.repeats:
        terminalreporter.section("repeated because the machine stalled")
        for line in running_stack.repeats:
            terminalreporter.write_line(line)

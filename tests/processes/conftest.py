from collections.abc import Iterator

import domains
import pytest
import running_stack

from dbp_policy import clock
from dbp_policy.unitree.channels import Participant


@pytest.fixture(autouse=True)
def slow_motion_on_few_cores() -> Iterator[None]:
    """Of this process's clock, and of all that the test starts."""
    before = clock.real_time_factor()
    running_stack.slow_motion()
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

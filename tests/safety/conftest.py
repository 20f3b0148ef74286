"""What the tests of the whole guard share."""

from __future__ import annotations

import pytest
from guard_rig import Rig

from dbp_policy.types import Mode


@pytest.fixture(scope="session")
def ways() -> dict[Mode, Rig]:
    """Made anew in each run of the tests: what one mutant of the guard did must not serve the next."""
    return {}


@pytest.fixture
def rig(ways) -> Rig:
    return Rig(ways)

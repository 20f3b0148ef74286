"""Real processes killed, stopped and restarted, and a second writer: what goes over the wire then."""

from __future__ import annotations

import os

import pytest
from running_stack import repeat_if_stalled

from dbp_bringup.faults.processes.campaign import Campaign
from dbp_bringup.faults.processes.others import second_writer, second_writer_first, second_writer_unarmed
from dbp_bringup.faults.processes.plan import disk_full_faults, process_faults
from dbp_bringup.faults.processes.restarts import MOTION_MAX, restarts

KINDS = {kind.key: kind for kind in (*process_faults(), *disk_full_faults())}


def quiet_campaign(**options) -> Campaign:
    """Without load: whether it is safe, not how fast it is, is tested here."""
    return Campaign(hogs=0, **options)


@repeat_if_stalled
def test_the_standby_damps_when_the_guard_is_killed_or_stopped_and_the_old_one_never_speaks_again():
    with quiet_campaign() as campaign:
        for key in ("guard killed", "guard killed, standing", "guard stopped 200 ms", "guard stopped 1 s"):
            result = campaign.run(KINDS[key])
            assert (key, result.verdict.unsafe, result.by) == (key, "", "standby")
        assert not campaign.stack.ended_by_themselves


@repeat_if_stalled
def test_the_guard_damps_when_the_policy_is_killed_or_hangs_or_the_robot_is_silent():
    with quiet_campaign() as campaign:
        for key in ("policy killed", "policy stopped 200 ms", "robot stopped 100 ms", "robot killed"):
            result = campaign.run(KINDS[key])
            assert (key, result.verdict.unsafe, result.by) == (key, "", "guard")
        assert not campaign.stack.ended_by_themselves


@repeat_if_stalled
def test_without_its_standby_the_guard_walks_on_and_refuses_to_stand_up():
    with quiet_campaign() as campaign:
        guard = None
        for key in ("standby stopped 200 ms", "standby killed"):
            result = campaign.run(KINDS[key])  # judges the refusal too
            assert (key, result.verdict.unsafe) == (key, "")
            assert guard in (None, campaign.stack.process_id("guard")), "nobody has replaced it"
            guard = campaign.stack.process_id("guard")


@pytest.mark.parametrize("inject", [second_writer, second_writer_unarmed, second_writer_first])
@repeat_if_stalled
def test_a_second_writer_damps_a_walking_robot_and_keeps_a_lying_one_down(inject):
    with quiet_campaign() as campaign:
        assert inject(campaign).verdict.unsafe == ""


@repeat_if_stalled
def test_a_guard_that_restarts_after_an_e_stop_moves_nothing():
    with quiet_campaign() as campaign:
        guards = set()
        for restart in restarts(campaign, 3):
            assert restart.unsafe == ""
            assert restart.motion < MOTION_MAX
            guards.add(campaign.stack.process_id("guard"))
        assert len(guards) == 3 and os.getpid() not in guards


@repeat_if_stalled
def test_guard_and_standby_do_their_work_with_no_room_for_a_line_of_output():
    with quiet_campaign(disk_full=True) as campaign:
        for key in ("disk full: guard killed", "disk full: policy killed"):
            assert campaign.run(KINDS[key]).verdict.unsafe == ""
        assert not campaign.stack.ended_by_themselves

"""The whole stack in lockstep: the trained policy walks, things go wrong, and the guard gets the robot down safely."""

from __future__ import annotations

import numpy as np
import pytest

from dbp_bringup.lockstep import Lockstep
from dbp_bringup.robot.physics import PhysicsOptions
from dbp_policy import go2
from dbp_policy.onnx_policy import load_runner
from dbp_policy.runner import Runner
from dbp_policy.types import Mode, Request
from dbp_policy.unitree import wire
from dbp_policy.unitree.remote import Remote

WALK = np.array([0.5, 0.0, 0.0])
GAIT_PHASES = [0.0, 0.06, 0.12, 0.18, 0.24, 0.3]
"""Extra time before the fault [s], over a gait cycle or so."""


@pytest.fixture(scope="module")
def walker(walk_policy_path) -> Runner:
    return load_runner(walk_policy_path)


@pytest.fixture(scope="module")
def stub(stub_policy_path) -> Runner:
    return load_runner(stub_policy_path)


def walking(runner: Runner, seconds: float = 1.5, estimate: bool = False, **options) -> Lockstep:
    """On its legs under the policy, walking forward."""
    lockstep = Lockstep(runner, PhysicsOptions(**options), estimate)
    assert lockstep.stand_up() and lockstep.start()
    lockstep.command = WALK
    lockstep.run(seconds)
    assert lockstep.output.status.mode == Mode.POLICY
    return lockstep


class Watch:
    """What happened to the robot, tick by tick."""

    def __init__(self) -> None:
        self.up_z = 1.0
        self.stiff = False
        self.modes: list[Mode] = []

    def __call__(self, lockstep: Lockstep) -> None:
        self.modes.append(lockstep.output.status.mode)
        self.stiff |= bool(lockstep.output.command.kp.any())
        if len(self.modes) % 5 == 0:
            self.up_z = min(self.up_z, lockstep.truth.up_z)


def test_up_onto_its_legs_and_down_again_without_a_fault(stub):
    lockstep = Lockstep(stub)
    assert lockstep.stand_up()
    assert lockstep.truth.position[2] == pytest.approx(0.32, abs=0.02)
    assert lockstep.start()
    lockstep.run(1.0)
    assert lockstep.truth.position[2] > 0.2 and not lockstep.truth.trunk_contact
    assert lockstep.sit_down()
    lockstep.run(1.0)
    assert lockstep.truth.position[2] < 0.12 and lockstep.truth.up_z > 0.99
    assert lockstep.output.status.faults == () and not lockstep.output.status.latched
    assert lockstep.robot.rejected == 0


def test_it_walks_where_it_is_told_to(walker):
    lockstep = walking(walker, 3.0, estimate=True)
    errors, travelled = [], lockstep.truth.position[0]
    for _ in range(200):
        lockstep.run(0.01)
        errors.append(lockstep.policy.estimate.velocity_body - lockstep.truth.velocity_body)
    travelled = lockstep.truth.position[0] - travelled
    assert 0.8 <= travelled <= 1.2, "0.5 m/s for 2 s"
    assert np.sqrt(np.mean(np.square(errors), axis=0))[:2].max() <= 0.08


def test_a_policy_that_reads_no_velocity_walks_the_same_without_the_estimator(walker):
    with_estimator, without = (walking(walker, 0.5, estimate=estimate) for estimate in (True, False))
    assert with_estimator.policy.estimate is not None and without.policy.estimate is None
    np.testing.assert_array_equal(with_estimator.truth.position, without.truth.position)


@pytest.mark.parametrize("extra", GAIT_PHASES)
def test_a_policy_killed_while_walking_is_damped_at_once(walker, extra):
    lockstep, watch = walking(walker, 1.5 + extra), Watch()
    lockstep.policy_alive = False
    lockstep.run(4.0, watch)
    assert not watch.stiff and watch.modes[0] == Mode.DAMPING and "policy_gone" in lockstep.output.status.faults
    assert watch.up_z > 0.7, "it folds rather than topples"
    assert lockstep.truth.position[2] < 0.15 and lockstep.output.status.latched


@pytest.mark.parametrize("extra", GAIT_PHASES)
def test_a_hot_motor_while_walking_settles_and_lies_down(walker, extra):
    lockstep, watch = walking(walker, 1.5 + extra), Watch()
    lockstep.robot.physics._temperature[4] = 85.0
    lockstep.run(2.5, watch)
    assert watch.modes[1] == Mode.SETTLING, "heat counts a step later than what motors follow"
    assert watch.modes.index(Mode.DAMPING) == pytest.approx(776, abs=2)
    assert watch.up_z > 0.96, "it never leans by more than 15 degrees"
    status, truth = lockstep.output.status, lockstep.truth
    assert status.latched and "motor_overheated" in status.faults
    assert truth.position[2] < 0.15 and np.abs(truth.velocity_world).max() < 0.05


@pytest.mark.parametrize("extra", GAIT_PHASES[::2])
@pytest.mark.parametrize("presses", [1, 2])
def test_an_estop_while_walking_lays_it_down_and_latches(walker, extra, presses):
    lockstep, watch = walking(walker, 1.5 + extra), Watch()
    lockstep.tick(*presses * [Request.ESTOP])
    lockstep.run(4.0, watch)  # damped legs take their time to fold
    assert watch.stiff == (presses == 1), "a second press: no command with stiffness, however late"
    assert watch.up_z > 0.7, "it folds rather than topples"
    assert lockstep.truth.position[2] < 0.15 and np.abs(lockstep.truth.velocity_world).max() < 0.05
    for request in (Request.STAND_UP, Request.START, Request.SIT_DOWN):
        assert lockstep.tick(request).status.latched
    lockstep.tick(Request.RESET)
    assert not lockstep.output.status.latched and not lockstep.output.command.kp.any()
    assert lockstep.stand_up(), "and an operator gets it up again"


def test_the_remote_stops_it_too(walker):
    lockstep, watch = walking(walker), Watch()
    lockstep.robot.remote = Remote(present=True, buttons=frozenset({"l2_button", "b"}))
    lockstep.run(2.0, watch)
    assert set(watch.modes) == {Mode.SETTLING, Mode.DAMPING} and lockstep.output.status.latched
    assert lockstep.truth.position[2] < 0.15


def test_a_robot_that_is_thrown_over_is_damped(walker):
    lockstep, watch = walking(walker), Watch()
    lockstep.robot.physics.data.qvel[2:4] += [3.0, 10.0]  # up and about its length
    lockstep.run(1.0, watch)
    status = lockstep.output.status
    assert watch.up_z < 0.5 and status.mode == Mode.DAMPING and status.latched
    assert {"tilt", "joint_limit", "joint_speed"} & set(status.faults)


@pytest.mark.parametrize("on_silence", ["hold", "limp"])
def test_a_robot_whose_guard_dies_does_what_its_firmware_does(stub, on_silence):
    lockstep = Lockstep(stub, PhysicsOptions(on_silence=on_silence), estimate=False)
    assert lockstep.stand_up()
    lockstep.robot.step(1500)
    assert (lockstep.truth.position[2] > 0.28) == (on_silence == "hold")


def test_every_command_on_the_wire_is_whole_and_within_reach(walker):
    lockstep = Lockstep(walker, PhysicsOptions(noise=1.0), estimate=False)
    seen = []
    receive = lockstep.robot.receive

    def spy(payload: bytes) -> bool:
        seen.append(wire.decode_lowcmd(payload))
        return receive(payload)

    lockstep.robot.receive = spy
    for _ in range(3):  # encoder noise may look like moving joints
        if lockstep.stand_up():
            break
    assert lockstep.start()
    lockstep.command = np.array([0.3, 0.2, -0.5])
    lockstep.run(1.0)
    assert lockstep.sit_down()
    assert lockstep.robot.rejected == 0 and len(seen) > 1000
    q, kp = np.array([c.q for c in seen]), np.array([c.kp for c in seen])
    assert ((q >= go2.Q_MIN - 0.021) & (q <= go2.Q_MAX + 0.021) | (kp == 0.0)).all()
    assert np.isfinite(q).all() and kp.max() <= 60.0


def test_a_saved_state_can_be_gone_back_to_again_and_again(walker):
    lockstep = walking(walker, 0.5, noise=1.0)
    snapshot = lockstep.save()
    ends = []
    for _ in range(3):
        lockstep.run(0.3)
        output = lockstep.output
        ends.append((lockstep.now, *lockstep.truth.position, *output.command.q, *output.state.gyro_body))
        lockstep.tick(Request.ESTOP)
        lockstep.restore(snapshot)
        assert lockstep.guard.mode == Mode.POLICY
    assert ends[0] == ends[1] == ends[2]


def test_damaged_lowstates_are_counted_and_not_believed(stub):
    lockstep = Lockstep(stub, estimate=False)
    lockstep.run(0.1)
    lockstep.lowstate_tap = lambda payload: (payload[:-1] + bytes([payload[-1] ^ 1]),)
    lockstep.run(0.006)
    assert "lowstate_corrupt" in lockstep.output.status.faults

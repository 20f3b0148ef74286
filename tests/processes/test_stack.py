"""The real processes on real DDS and real ROS: what the stack does when it is driven, stopped, and partly killed."""

import signal

import numpy as np
from nav_msgs.msg import Odometry
from running_stack import RunningStack, repeat_if_stalled
from sensor_msgs.msg import Joy

from dbp_bringup.report import FALLEN_UP_Z, KP, rate
from dbp_bringup.robot import local_channel
from dbp_policy import clock, go2
from dbp_policy.clock import now
from dbp_policy.operator import ask_guard
from dbp_policy.types import Mode, Request

FORWARD = np.array([0.4, 0.0, 0.0])


def assert_commands_safe(recorded, since):
    commands = recorded.lowcmd[recorded.lowcmd_t >= since]
    assert len(commands) > 0
    q, kp, kd = commands[:, 0], commands[:, 2], commands[:, 3]
    assert np.isfinite(commands).all()
    assert (kp >= 0).all() and (kp <= go2.KP_MAX).all() and (kd > 0).all() and (kd <= go2.KD_MAX).all()
    assert ((q >= go2.Q_MIN - 0.05) & (q <= go2.Q_MAX + 0.05) | (kp == 0)).all()


def truth_since(recorded, since):
    return recorded.truth[recorded.truth[:, 0] >= since]


def damped_since(recorded, since):
    """When damping began after a moment, from then on only that; nobody flipped."""
    times, commands = recorded.lowcmd_t[recorded.lowcmd_t > since], recorded.lowcmd[recorded.lowcmd_t > since]
    damping = (commands[:, KP] == 0).all(axis=1)
    first = times[damping][0]
    assert damping[times > first].all(), "damped, and from then on only that"
    assert truth_since(recorded, since)[:, 8].min() > FALLEN_UP_Z, "the robot flipped"
    return first


@repeat_if_stalled
def test_killing_the_policy_while_walking_ends_in_damping_and_the_robot_does_not_flip():
    with RunningStack() as stack:
        stack.walk()
        stack.session.walk(FORWARD, 3.0)
        killed = now()
        stack.kill("policy_node")
        stack.session.spin(3.0)
        status = ask_guard(stack.folder, Request.STAND_UP)  # the guard serves without the policy node
        end = now()
        recorded = stack.recorded()
    assert status.latched and status.mode == Mode.DAMPING and "latched" in status.refusal
    assert set(status.faults) & {"policy_gone", "policy_stale", "policy_slow"}
    assert_commands_safe(recorded, killed)
    assert rate(recorded.lowcmd_t, killed, end) > 400, "the stream goes on"
    assert damped_since(recorded, killed) - killed < 2.0


@repeat_if_stalled
def test_a_connection_that_goes_while_walking_ends_in_damping():
    """What a launch file has started over a remote shell all gets SIGHUP at once when that goes."""
    with RunningStack() as stack:
        stack.walk()
        stack.session.walk(FORWARD, 2.0)
        gone = now()
        for name in ("policy_node", "standby", "guard"):
            stack.kill(name, signal.SIGHUP)
        clock.sleep(3.0)
        recorded = stack.recorded()
    first = damped_since(recorded, gone)
    assert first - gone < 0.1 and recorded.lowcmd_t[-1] - first > 0.9, "damped for a second"


@repeat_if_stalled
def test_estop_while_walking_latches_until_reset():
    with RunningStack() as stack:
        session = stack.session
        stack.walk()
        session.walk(FORWARD, 2.0)
        stopped = now()
        status = ask_guard(stack.folder, Request.ESTOP)  # what ./dbp estop does
        assert status.latched and status.mode == Mode.SETTLING
        session.spin_until(lambda: session.mode == "damping", 4.0, "damping after the stop")
        damped = now()
        session.spin(1.0)
        for service in ("stand_up", "start", "sit_down"):
            granted, reason = session.ask(service)
            assert not granted and "latched" in reason
        begin_reset = now()
        assert session.ask("reset")[0]
        session.spin(1.0)
        assert session.mode == "damping", "reset must not move the robot"
        session.demand("stand_up", "standing")
        session.spin(0.5)
        up = now()
        recorded = stack.recorded()
    latched = recorded.lowcmd[(recorded.lowcmd_t > damped) & (recorded.lowcmd_t < begin_reset)]
    assert len(latched) > 400 and (latched[:, KP] == 0).all() and (latched[:, 3] == go2.DAMPING_KD).all()
    assert truth_since(recorded, stopped)[:, 8].min() > FALLEN_UP_Z
    assert truth_since(recorded, up - 0.2)[0, 3] > 0.28


@repeat_if_stalled
def test_remote_stops_and_stays_stopped_while_held():
    with RunningStack() as stack:
        session = stack.session
        stack.walk()
        assert local_channel.press_remote(stack.hands, frozenset({"l2_button", "b"}))
        session.spin_until(lambda: session.mode == "damping", 4.0, "damping after L2+B")
        session.spin(1.5)
        granted, reason = session.ask("reset")
        assert not granted and "estop" in reason
        local_channel.press_remote(stack.hands, frozenset())
        session.spin(0.5)
        assert session.ask("reset")[0]


@repeat_if_stalled
def test_joy_takes_over_and_its_silence_stops_and_odometry_is_right():
    samples = []
    with RunningStack() as stack:
        session = stack.session
        stack.walk()
        session.subscribe(Odometry, "odom", lambda m: samples.append((now(), m.twist.twist.linear)))
        joy = session.publisher(Joy, "joy")
        pressed = Joy(axes=[0.0, -1.0, 0.0, 0.0, 0.0], buttons=[0, 0, 0, 0, 1])
        autonomy = now()
        session.walk(FORWARD, 4.0)
        assert session.diagnostics["source"] == "autonomy"
        taken = now()
        while now() < taken + 4.0:
            joy.publish(pressed)
            session.walk(FORWARD, 0.05)  # autonomy goes on asking
        assert session.diagnostics["source"] == "joy"
        silent = now()
        session.walk(FORWARD, 1.0)  # joy silent: its hold-off keeps autonomy out
        assert session.diagnostics["source"] == "nobody"
        end = now()
        session.spin(0.3)
        recorded = stack.recorded()
    vx = recorded.truth[:, 4]
    t = recorded.truth[:, 0]
    assert vx[(t > autonomy + 2.0) & (t < taken)].mean() > 0.25
    assert vx[(t > taken + 1.5) & (t < silent)].mean() < -0.3, "joy asked to go back at full stick"
    assert abs(vx[(t > silent + 0.7) & (t < end)].mean()) < 0.12
    error = [
        (v.x - np.interp(s, t, vx), v.y - np.interp(s, t, recorded.truth[:, 5]))
        for s, v in samples
        if autonomy + 1.0 < s < silent
    ]
    assert len(error) > 200
    assert np.sqrt(np.mean(np.square(error))) < 0.08


@repeat_if_stalled
def test_ending_the_stack_sits_a_standing_robot_down():
    with RunningStack() as stack:
        stack.session.wait_ready()
        stack.session.demand("stand_up", "standing")
        end = now()
        stack.session.spin(0.1)
        stack.supervisor.stop("guard")
        gone = now()
        recorded = stack.recorded()
    heights = truth_since(recorded, end)[:, 3]
    assert heights[0] > 0.28 and recorded.truth[recorded.truth[:, 0] < gone][-1, 3] < 0.12
    assert (recorded.lowcmd[-1, KP] == 0).all() and (recorded.lowcmd[-1, 3] == go2.DAMPING_KD).all()
    sitting = recorded.lowcmd[(recorded.lowcmd_t > end + 0.3) & (recorded.lowcmd_t < end + 1.8)]
    assert (sitting[:, KP] == go2.STAND_KP).all(), "it is let down, not dropped"

"""The MuJoCo robot's motors and sensors."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from dbp_bringup.robot.physics import Go2Physics, PhysicsOptions
from dbp_bringup.robot.sensor_noise import GYRO_FLOOR
from dbp_policy import go2, pd
from dbp_policy.errors import DbpError

ZERO = np.zeros(12)
WEIGHT = go2.MASS * go2.GRAVITY


def command(physics: Go2Physics, q=go2.STAND_Q, kp: float = 60.0, kd: float = 5.0, tau=ZERO) -> None:
    physics.set_command(q, ZERO, np.full(12, kp), np.full(12, kd), tau)


def standing(**options) -> Go2Physics:
    """A robot that has stood still for a second."""
    physics = Go2Physics(PhysicsOptions(start="home", **options))
    command(physics)
    physics.step_ms(1000)
    return physics


# Motors --------------------------------------------------------------------------------------------------------------


def test_the_pd_law_is_evaluated_every_millisecond_on_the_held_command():
    physics = Go2Physics(PhysicsOptions(start="home"))
    target = go2.STAND_Q + 0.2
    command(physics, target)
    torques = []
    for _ in range(50):
        physics.step_ms()
        now = physics.sense()
        asked = pd.pd_torque(now.q, now.dq, target, ZERO, 60.0, 5.0, ZERO)
        np.testing.assert_allclose(now.tau_est, pd.limit_torque(asked, now.dq), atol=1e-9)
        torques.append(now.tau_est)
    assert np.abs(np.diff(torques, axis=0)).max(axis=1).min() > 0.0, "the torque changes though the command does not"


def test_stiff_gains_are_stable_with_commands_at_50_hz():
    physics = Go2Physics(PhysicsOptions(start="home"))
    for _ in range(100):
        command(physics)
        physics.step_ms(20)
    assert np.abs(physics.sense().dq).max() < 0.05
    assert physics.truth().position[2] == pytest.approx(0.32, abs=0.005)


def test_without_a_command_the_motors_are_limp():
    physics = Go2Physics(PhysicsOptions(start="home"))
    physics.step_ms(1000)
    assert not physics.sense().tau_est.any()
    assert physics.truth().position[2] < 0.15, "it sank to the ground"


@pytest.mark.parametrize("delay_ms", [0, 1, 5, 20])
def test_a_command_takes_effect_after_exactly_the_delay(delay_ms):
    physics = Go2Physics(PhysicsOptions(start="lying", command_delay_ms=delay_ms))
    physics.step_ms(7)
    command(physics, kp=0.0, kd=0.0, tau=np.full(12, 1.0))
    for _ in range(delay_ms):
        physics.step_ms()
        assert not physics.sense().tau_est.any()
    physics.step_ms()
    np.testing.assert_allclose(physics.sense().tau_est, 1.0)


def test_delayed_commands_follow_each_other_at_the_pace_they_came():
    physics = Go2Physics(PhysicsOptions(command_delay_ms=5))
    seen = []
    for i in range(20):
        command(physics, kp=0.0, kd=0.0, tau=np.full(12, 0.1 * (i + 1)))
        physics.step_ms()
        seen.append(physics.sense().tau_est[0])
    np.testing.assert_allclose(seen, [0.0] * 5 + [0.1 * (i + 1) for i in range(15)], atol=1e-12)


@pytest.mark.parametrize(("on_silence", "after"), [("hold", 1.0), ("limp", 0.0)])
def test_silence_holds_the_command_or_lets_go(on_silence, after):
    physics = Go2Physics(PhysicsOptions(on_silence=on_silence, silence_after=0.05))
    command(physics, kp=0.0, kd=0.0, tau=np.full(12, 1.0))
    physics.step_ms(50)
    np.testing.assert_allclose(physics.sense().tau_est, 1.0, err_msg="not silent yet")
    physics.step_ms()
    np.testing.assert_allclose(physics.sense().tau_est, after)
    command(physics, kp=0.0, kd=0.0, tau=np.full(12, 0.5))
    physics.step_ms()
    np.testing.assert_allclose(physics.sense().tau_est, 0.5, err_msg="a new command ends the silence")


def test_its_own_mode_holds_a_pose_through_silence_and_until_a_command():
    physics = Go2Physics(PhysicsOptions(on_silence="limp", silence_after=0.01))
    physics.hold_pose(physics.lying_q)
    lying = physics.sense().q
    physics.step_ms(500)
    np.testing.assert_allclose(physics.sense().q, lying, atol=0.02)
    assert physics.sense().tau_est.any()
    physics.limp()
    physics.step_ms()
    assert not physics.sense().tau_est.any()


def test_the_torque_falls_with_speed_but_braking_keeps_it_all():
    """At 25 of 30.1 rad/s: 23.7 · 2 · (1 − 25 / 30.1) = 8.03 N·m with the motion, 23.7 N·m against it."""
    for asked, given in ((100.0, 8.031), (-100.0, -23.7)):
        physics = Go2Physics()
        physics.data.qvel[6] = 25.0
        command(physics, kp=0.0, kd=0.0, tau=np.r_[asked, np.zeros(11)])
        physics.step_ms()
        assert physics.sense().tau_est[0] == pytest.approx(given, abs=0.001)


@pytest.mark.parametrize("bad", [np.full(12, np.nan), np.full(12, np.inf), np.zeros(11), np.zeros((12, 1))])
@pytest.mark.parametrize("place", range(5))
def test_a_command_that_is_no_command_is_refused_and_changes_nothing(bad, place):
    physics = Go2Physics()
    command(physics, kp=0.0, kd=0.0, tau=np.full(12, 1.0))
    arguments = [ZERO] * 5
    arguments[place] = bad
    with pytest.raises(DbpError, match="motor command: expected"):
        physics.set_command(*arguments)
    physics.step_ms()
    np.testing.assert_allclose(physics.sense().tau_est, 1.0)


def test_the_caller_may_reuse_its_arrays():
    physics = Go2Physics(PhysicsOptions(command_delay_ms=3))
    tau = np.full(12, 1.0)
    command(physics, kp=0.0, kd=0.0, tau=tau)
    tau[:] = 9.0
    physics.step_ms(4)
    np.testing.assert_allclose(physics.sense().tau_est, 1.0)


def test_the_stop_constants_of_the_sdk_do_no_harm():
    """PosStopF and VelStopF come with zero gains."""
    physics = Go2Physics()
    physics.set_command(np.full(12, 2.146e9), np.full(12, 16000.0), ZERO, ZERO, ZERO)
    physics.step_ms(10)
    assert not physics.sense().tau_est.any()


# Sensors -------------------------------------------------------------------------------------------------------------


def test_at_rest_the_accelerometer_reads_gravity_and_the_feet_the_weight():
    now = standing().sense()
    np.testing.assert_allclose(now.acc_body, (0.0, 0.0, 9.81), atol=0.02)
    np.testing.assert_allclose(now.gyro_body, 0.0, atol=0.01)
    assert now.foot_force.dtype == np.int16
    assert now.foot_force.sum() == pytest.approx(WEIGHT, abs=3.0)
    np.testing.assert_allclose(now.rpy, 0.0, atol=0.02)


def test_a_payload_is_felt_in_the_feet():
    assert standing(payload_kg=3.0).sense().foot_force.sum() == pytest.approx(WEIGHT + 3.0 * 9.81, abs=3.0)


def test_joint_readings_are_in_sdk_order():
    physics = Go2Physics()
    physics.data.qpos[7:] = np.arange(12) / 10.0
    physics.data.qvel[6:] = np.arange(12) / 5.0
    physics.step_ms()
    np.testing.assert_allclose(physics.sense().q, np.arange(12) / 10.0)
    np.testing.assert_allclose(physics.sense().dq, np.arange(12) / 5.0)


def test_gyro_and_attitude_agree_in_body_axes():
    physics = Go2Physics()
    half = np.sqrt(0.5)
    physics.data.qpos[:7] = (0.0, 0.0, 1.0, half, 0.0, 0.0, half)  # facing left, in the air
    physics.data.qvel[:6] = (0.0, 2.0, 0.0, 0.1, 0.2, 0.3)  # world velocity, body rates
    physics.step_ms()
    np.testing.assert_allclose(physics.sense().gyro_body, (0.1, 0.2, 0.3), atol=5.0 * GYRO_FLOOR)
    np.testing.assert_allclose(physics.sense().rpy, (0.0, 0.0, np.pi / 2), atol=1e-9)
    truth = physics.truth()
    np.testing.assert_allclose(truth.velocity_world, (0.0, 2.0, 0.0), atol=1e-9)
    np.testing.assert_allclose(truth.velocity_body, (2.0, 0.0, 0.0), atol=1e-9)
    assert truth.yaw_rate == pytest.approx(0.3)


def test_in_free_fall_the_accelerometer_reads_nothing():
    physics = Go2Physics()
    physics.data.qpos[2] = 2.0
    physics.step_ms(10)
    np.testing.assert_allclose(physics.sense().acc_body, 0.0, atol=0.3)
    assert not physics.sense().foot_force.any() and not physics.truth().foot_contact.any()


def test_the_tick_counts_the_milliseconds():
    physics = Go2Physics()
    ticks = []
    for _ in range(5):
        physics.step_ms(2)
        ticks.append(physics.sense().tick_ms)
    assert ticks == [1, 3, 5, 7, 9]


def test_readings_are_snapshots():
    physics = standing()
    first = physics.sense()
    q, temperature = first.q.copy(), first.temperature.copy()
    command(physics, go2.CROUCH_Q)
    physics.step_ms(300)
    np.testing.assert_array_equal(first.q, q)
    np.testing.assert_array_equal(first.temperature, temperature)


def test_motors_that_carry_warm_up_and_limp_ones_stay_at_room_temperature():
    warm, cold = standing().sense().temperature, Go2Physics()
    cold.step_ms(1000)
    assert warm[2] > warm[0] > 25.0, "the knee carries the robot, the hip hardly anything"
    np.testing.assert_allclose(cold.sense().temperature, 25.0)


def test_the_battery_drains_slowly():
    physics = Go2Physics()
    full = physics.sense()
    physics.step_ms(1000)
    later = physics.sense()
    assert full.battery_soc == 100.0
    assert 99.9 < later.battery_soc < 100.0 and later.battery_v < full.battery_v


# World ---------------------------------------------------------------------------------------------------------------


def test_truth_tells_lying_from_standing_from_overturned():
    lying = Go2Physics()
    lying.step_ms(10)
    assert lying.truth().trunk_contact and lying.truth().up_z > 0.99
    stands = standing().truth()
    assert not stands.trunk_contact and stands.foot_contact.all()
    overturned = Go2Physics()
    overturned.data.qpos[:7] = (0.0, 0.0, 0.2, 0.0, 1.0, 0.0, 0.0)
    overturned.step_ms(1500)
    assert overturned.truth().up_z < -0.9, "with its legs folded it lies on its hips"


def test_a_push_is_a_change_of_velocity():
    physics = standing()
    physics.push(np.array([0.3, -0.5, 0.0]))
    physics.step_ms()
    np.testing.assert_allclose(physics.truth().velocity_world, (0.3, -0.5, 0.0), atol=0.02)


def test_on_ice_a_push_carries_farther():
    travelled = []
    for friction in (0.8, 0.1):
        physics = standing(friction=friction)
        start = physics.truth().position[0]
        physics.push(np.array([0.8, 0.0, 0.0]))
        physics.step_ms(1000)
        travelled.append(physics.truth().position[0] - start)
    assert travelled[1] > travelled[0] + 0.05


def run(seed: int = 0, noise: float = 0.0):
    physics = Go2Physics(PhysicsOptions(start="home", seed=seed, noise=noise))
    command(physics)
    physics.step_ms(100)
    return physics.sense()


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_same_seed_gives_the_same_run(noise):
    first, second = run(3, noise), run(3, noise)
    for field in fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), err_msg=field.name)


def test_noise_is_off_unless_asked_for_and_differs_between_seeds():
    np.testing.assert_array_equal(run(1).q, run(2).q)
    assert (run(1, noise=1.0).gyro_body != run(2, noise=1.0).gyro_body).all()
    assert np.abs(run(1, noise=1.0).q - run(1).q).max() <= 0.01 + 1e-12


def test_the_imu_never_repeats_itself_and_one_instant_always_reads_the_same():
    physics = standing()
    readings = []
    for _ in range(100):
        physics.step_ms(2)
        readings.append(np.float32([*physics.sense().gyro_body, *physics.sense().acc_body]))
        np.testing.assert_array_equal(readings[-1], np.float32([*physics.sense().gyro_body, *physics.sense().acc_body]))
    assert (np.diff(readings, axis=0) != 0.0).any(axis=1).all()
    assert np.std(readings, axis=0)[:3].max() < 2.0 * GYRO_FLOOR


def attitude_errors(seed: int, seconds: float = 1.0) -> np.ndarray:
    """Rotation vectors from the true to the sensed attitude at 100 Hz, shape (n, 3) [rad]."""
    physics = Go2Physics(PhysicsOptions(start="home", attitude_noise_deg=0.5, seed=seed))
    command(physics)
    errors = []
    for _ in range(round(100 * seconds)):
        physics.step_ms(10)
        (w, *truth), sensed = physics.truth().quat_wxyz, physics.sense().quat_wxyz
        vector = w * sensed[1:] - sensed[0] * np.array(truth) - np.cross(truth, sensed[1:])
        errors.append(2.0 * vector * np.sign(w * sensed[0]))
    return np.array(errors)


def test_the_attitudes_error_is_of_the_size_asked_for_and_wanders_slowly():
    errors = np.array([attitude_errors(seed) for seed in range(12)])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.deg2rad(0.5), rel=0.25)
    assert np.sqrt(np.mean(np.diff(errors, axis=1) ** 2)) < 0.1 * np.deg2rad(0.5)
    assert np.sqrt(np.mean((errors[:, -1] - errors[:, 0]) ** 2)) > 0.3 * np.deg2rad(0.5)


def test_the_attitudes_noise_leaves_all_other_noise_as_it_was():
    def sensed(degrees: float):
        physics = Go2Physics(PhysicsOptions(start="home", noise=1.0, attitude_noise_deg=degrees))
        physics.step_ms(2)
        return physics.sense()

    plain, noisy = sensed(0.0), sensed(0.5)
    np.testing.assert_array_equal(plain.gyro_body, noisy.gyro_body)
    np.testing.assert_array_equal(plain.dq, noisy.dq)
    assert (plain.quat_wxyz != noisy.quat_wxyz).any()
    assert np.linalg.norm(noisy.quat_wxyz) == pytest.approx(1.0)


def test_a_saved_robot_has_the_same_attitude_noise_again():
    physics = Go2Physics(PhysicsOptions(start="home", attitude_noise_deg=0.5))
    saved = physics.save()
    first = (physics.step_ms(50), physics.sense().quat_wxyz)[1]
    physics.restore(saved)
    physics.step_ms(50)
    np.testing.assert_array_equal(first, physics.sense().quat_wxyz)


def test_the_ground_can_turn_slippery_under_a_robot():
    travelled = []
    for friction in (0.8, 0.1):
        physics = standing()
        physics.set_friction(friction)
        start = physics.truth().position[0]
        physics.push(np.array([0.8, 0.0, 0.0]))
        physics.step_ms(1000)
        travelled.append(physics.truth().position[0] - start)
    assert travelled[1] > travelled[0] + 0.05
    with pytest.raises(DbpError, match="friction: expected"):
        physics.set_friction(0.0)


def test_reset_switches_off_and_on():
    physics = standing()
    physics.reset()
    now = physics.sense()
    assert now.tick_ms == 0 and not now.tau_est.any()
    np.testing.assert_allclose(now.q, go2.STAND_Q)
    np.testing.assert_allclose(now.temperature, 25.0)
    physics.step_ms()
    assert not physics.sense().tau_est.any(), "the command of the previous life is forgotten"


@pytest.mark.parametrize(
    "bad",
    [
        {"start": "flying"},
        {"on_silence": "panic"},
        {"silence_after": np.nan},
        {"silence_after": 0.0},
        {"command_delay_ms": -1},
        {"noise": np.nan},
        {"attitude_noise_deg": -0.1},
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(bad):
    with pytest.raises(DbpError, match="expected .* got"):
        PhysicsOptions(**bad)


def test_a_diverged_simulation_is_reported_and_never_jumps_back_to_the_start():
    physics = standing()
    physics.data.qvel[8] = np.nan
    with pytest.raises(DbpError, match="diverged"):
        physics.step_ms(2)

"""When the guard calls something a fault: the numbers of its checks, each with its unit and where it comes from.

The fault table (faults.py) refers to them, docs/safety.md is generated from the table. What the motors may be asked for
stands in limits.py, what the robot can do in go2.py.
"""

from __future__ import annotations

import numpy as np

# Lowstate ------------------------------------------------------------------------------------------------------------

LOWSTATE_LATE = 0.005
"""Two lowstates missed [s]: one that comes 4 ms late is jitter."""

LOWSTATE_TIMEOUT = 0.015
"""[s]. The guard's tick after it is 16 ms after the last lowstate it heard, which may have waited 2 ms for its tick:
so damping is on the wire within 20 ms (Franka's FCI stops its arms after a gap of 20 ms)."""

TICK_RESTART_MS = 1000
"""A tick this far back is a restarted robot, a smaller step back a reordered message [ms]."""

TICK_LOST, TICK_DRIFT = 5.0, 0.01
"""After a silence the tick may be behind our clock by 5 s and a share of the silence; one further behind is of a robot
that was switched off meanwhile, and runs longer by now than it did before [s], [1]. A Go2 takes longer to start."""

CORRUPT_IN_A_ROW = 3
"""Payloads with a wrong length or checksum and no good one between."""

FROZEN_STATES = 15
"""New ticks with the very same joints and IMU: noise alone makes them differ (30 ms)."""

# IMU -----------------------------------------------------------------------------------------------------------------

QUAT_NORM_TOLERANCE = 0.01

TILT_MAX = 1.0
"""[rad], as in unitree_rl_mjlab's deployment."""

GRAVITY_ANGLE = 0.3
"""Between the accelerometer's direction and the quaternion's, of a robot that lies still [rad]; sensors of this class
are good to 0.05."""

STILL_RATE, STILL_ACC = 0.3, 1.5
"""A trunk turning slower [rad/s], with a specific force this near to gravity [m/s²], is still."""

GYRO_WINDOW = 0.1
GYRO_MISMATCH = 0.2
"""Mean difference over the window between the gyro and the quaternion's rate [s], [rad/s]; walks of the validation
battery show 0.02."""

GYRO_STUCK_STATES = 30
"""The very same three numbers of the gyro in a row (100 ms)."""

FREE_FALL_ACC = 3.0
"""A specific force smaller than this is no ground's [m/s²]."""
FREE_FALL_ZERO, FREE_FALL_DAMP = 0.1, 0.2
"""How long for the two reactions [s]; a drop of 0.1 s is 5 cm, of 0.2 s 20 cm; steps of a walk last 0.03 s."""

# Joints --------------------------------------------------------------------------------------------------------------

JOINT_LIMIT_MARGIN = 0.05
"""How far past its range a joint may be read: soft stops give, encoders are offset [rad]."""

DQ_FAULT = np.where(np.arange(12) % 3 == 2, 20.07, 30.1)
"""Joint speed that no motor of a Go2 reaches [rad/s] (the faster of the published limits)."""

ENCODER_JUMP = 0.2
"""Change of a joint angle from one lowstate to the next [rad], at 30 rad/s it is 0.06."""

VELOCITY_WINDOW = 0.05
VELOCITY_MISMATCH = 0.06
"""Over the window: the way of a joint by its angles less the way by its speeds [s], [rad]; walks of the validation
battery show 0.01, the rest is for speeds that a robot filters."""

STUCK_STATES = 30
STUCK_ASKED = 0.1
"""The very same angle for so many lowstates (60 ms) with the command so far [rad] from where it was when the joint
last moved: with kp 25 that is 2.5 N·m, ten times a joint's friction."""

# Motors and battery --------------------------------------------------------------------------------------------------

MOTOR_HOT, MOTOR_OVERHEATED = 70.0, 80.0
"""[°C], thresholds that deployments on this robot use; its firmware's own are not published."""

LOST_WINDOW = 50
LOST_GROWTH = 3
"""Packets a motor's `lost` counter may gain over so many lowstates (100 ms), less one."""

BATTERY_LOW, BATTERY_CRITICAL = 20.0, 10.0
"""[%]"""

VOLTAGE_SAG = 0.8
"""Share of the highest voltage seen; a battery from full to empty falls to 0.83 of it."""

# Feet ----------------------------------------------------------------------------------------------------------------

FOOT_STUCK_TIME = 1.0
FOOT_MOVING = 1.0
"""The very same four numbers for so long [s] while a joint moves faster than this [rad/s]."""

# Policy --------------------------------------------------------------------------------------------------------------

POLICY_LATE, POLICY_SLOW, POLICY_STALE = 0.015, 0.025, 0.060
"""Age of the lowstate that the newest answer rests on [s]; the policy process answers every lowstate."""

TARGET_SLEW = 40.0
"""How fast a target may move [rad/s], a third faster than a joint (go2.DQ_MAX)."""

SLEW_PERIOD = 0.020
"""A target may step by at most `TARGET_SLEW` times this, however long the last one was held [s]."""

SLEW_STRIKES = 5
"""Clamped targets in a row."""

# The guard itself ----------------------------------------------------------------------------------------------------

OVERRUN_PERIODS = 2.0
"""A tick of the guard later than this many periods after the last one."""

STALL_MAX = 0.1
"""A guard that did not run for longer [s] knows nothing of the robot any more: it was stopped, or the machine stood."""

# Standby, second writer, remote stops --------------------------------------------------------------------------------

STANDBY_TIMEOUT = 0.1
"""A standby that takes no beat for so long [s] is not there; the guard beats every 2 ms."""

BEAT_TIMEOUT = 0.015
"""A guard that has not beaten for so long [s] is taken for stopped, as a robot that is silent (LOWSTATE_TIMEOUT)."""

ENDPOINT_TIMEOUT = 0.3
"""An e-stop endpoint whose last right answer is older [s]; it answers every 50 ms. (Spot's SDK lets the user choose;
its example has 5 s.)"""

COMMANDS_KEPT = 64
"""How many of its own last commands the guard knows again when they come back to it (128 ms)."""

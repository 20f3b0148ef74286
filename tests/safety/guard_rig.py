"""A guard on a bench: a robot that follows its commands as its motors can, a policy that asks for the standing pose."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np

from dbp_policy import go2
from dbp_policy.guard.guard import Guard, GuardInput, GuardOutput
from dbp_policy.types import JointTarget, Mode, OperatorRequest, Request, RobotState
from dbp_policy.unitree.remote import Remote, encode_remote

PERIOD = 0.002
LYING = RobotState(q_sdk=go2.CROUCH_Q, acc_body=np.array([0.0, 0.0, go2.GRAVITY]))
TIPPED = np.array([np.cos(0.6), np.sin(0.6), 0.0, 0.0])
L2_B = encode_remote(Remote(present=True, buttons=frozenset({"l2_button", "b"})))
FOLLOWS = 0.9 * go2.TAU_MAX / go2.STAND_KD
"""How fast the joints follow a command [rad/s]: faster, the damping would take more torque than the motors have."""
MOVING = (Mode.STANDING_UP, Mode.STANDING, Mode.POLICY, Mode.SITTING_DOWN, Mode.SETTLING)
ON_LEGS = (Mode.STANDING, Mode.POLICY)


class Rig:
    """A guard, a robot that follows its commands, and a policy that asks for the standing pose.

    Args:
        ways: Rigs that were led to a mode, by that: a new one is led there once and copied from then on.
    """

    def __init__(self, ways: dict[Mode, Rig] | None = None) -> None:
        self.ways = {} if ways is None else ways
        self.guard = Guard()
        self.state = LYING
        self.now = 100.0
        self.steps = 0
        self.policy_alive = True
        self.policy_gone = False
        self.follows = True
        self.lowstate_alive = True
        self.outputs: list[GuardOutput] = []

    def step(
        self,
        *requests: Request,
        target: dict | None = None,
        request_age: float = 0.0,
        around: dict | None = None,
        **sensed,
    ) -> GuardOutput:
        """One period; `sensed` overrides fields of this lowstate, `target` makes a target with these fields, `around`
        is what else reaches the guard (fields of its input)."""
        self.now += PERIOD
        self.steps += 1
        noise = 1e-4 * np.sin(self.steps * np.arange(1.0, 4.0))
        feet = np.full(4, float(self.steps % 3))
        self.state = replace(self.state, tick_ms=2 * self.steps, stamp=self.now, gyro_body=noise, foot_force=feet)
        states = [replace(self.state, **sensed)] if self.lowstate_alive else []
        targets = []
        if target is not None or self.policy_alive:
            good = dict(q_sdk=go2.STAND_Q, kp_sdk=np.full(12, 25.0), kd_sdk=np.full(12, 0.5))
            targets = [JointTarget(self.steps, self.now - 1e-4, 2 * self.steps, **{**good, **(target or {})})]
        asked = [OperatorRequest(r, self.now - request_age) for r in requests]
        heard = GuardInput(states, targets, asked, policy_gone=self.policy_gone)
        output = self.guard.step(replace(heard, **(around or {})), self.now)
        q = self.state.q_sdk
        if self.follows and output.command is not None and output.command.kp.any():
            q = q + np.clip(output.command.q - q, -FOLLOWS * PERIOD, FOLLOWS * PERIOD)
        self.state = replace(self.state, q_sdk=q, dq_sdk=(q - self.state.q_sdk) / PERIOD)
        self.outputs.append(output)
        return output

    def twice(self, **sensed) -> GuardOutput:
        """Two periods with such lowstates: what wears down counts from the second on."""
        self.step(**sensed)
        return self.step(**sensed)

    def run(self, seconds: float) -> GuardOutput:
        for _ in range(round(seconds / PERIOD)):
            output = self.step()
        return output

    def to(self, mode: Mode) -> Rig:
        """Leads there by an operator's requests; one that nothing was changed of takes the state of one led before."""
        if self.steps or self.state is not LYING or not self.policy_alive:
            return self._lead(mode)
        if mode not in self.ways:
            self.ways[mode] = Rig()._lead(mode)
        way = self.ways[mode]
        self.__dict__.update(way.__dict__, guard=deepcopy(way.guard), outputs=list(way.outputs), ways=self.ways)
        return self

    def _lead(self, mode: Mode) -> Rig:
        self.run(0.1)
        if mode != Mode.DAMPING:
            self.step(Request.STAND_UP)
        if mode not in (Mode.DAMPING, Mode.STANDING_UP):
            self.run(2.1)
        if mode == Mode.POLICY:
            self.step(Request.START)
        elif mode == Mode.SETTLING:
            self.step(temperature_sdk=np.full(12, 90.0))
        elif mode == Mode.SITTING_DOWN:
            self.step(Request.SIT_DOWN)
        if mode != Mode.DAMPING:
            self.run(0.1)
        assert self.guard.mode == mode
        return self


def is_damping(output: GuardOutput) -> bool:
    c = output.command
    return c is not None and not (c.kp.any() or c.tau.any() or c.dq.any()) and bool((c.kd == go2.DAMPING_KD).all())

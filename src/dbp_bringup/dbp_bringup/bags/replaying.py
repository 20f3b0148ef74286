"""A recording through the policy again: the same loop as on the robot, fed with the recorded lowstates. Pure.

The policy's own record of each tick (`policy_tick`) says which lowstates it had seen, in which mode and with what
command; all else, estimate, observation and target, is computed anew and compared. What the guard then sent is compared
with the targets too, while it follows the policy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from dbp_bringup.bags.comparison import Comparison, SignWatch, observation_elements
from dbp_bringup.bags.definitions import LOWCMD, LOWSTATE, POLICY_TICK
from dbp_bringup.bags.reading import Recorded
from dbp_policy import go2
from dbp_policy.errors import DbpError
from dbp_policy.guard.guard import BLEND_TIME
from dbp_policy.policy_loop import PolicyLoop
from dbp_policy.policy_tick import PolicyTick
from dbp_policy.runner import Runner
from dbp_policy.types import GuardStatus, Mode, RobotState
from dbp_policy.unitree import wire

TOLERANCE = 1e-5
"""Of every quantity, in its own unit: float32 keeps seven digits, and another processor may round otherwise."""
_LOOKAHEAD = 200_000_000
"""A tick waits until what was recorded this much later is known: lowstates come by another way [ns]."""
_KEPT = 4096
"""Lowstates, and commands, that wait for their tick."""
_BLENDED = BLEND_TIME[Mode.POLICY] + 0.1
"""After so long in the policy's mode the guard sends the targets as they are [s]."""


class Replay:
    """Feeds recorded messages to a policy and compares.

    Args:
        runner: The policy.
        tolerance: Largest difference that is none.

    Raises:
        DbpError: From `feed` and `finish`: the recording cannot be replayed, or not with this policy.

    Attributes:
        missing: Lowstates that the policy had seen and the recording has not.
        damaged: Messages whose checksum is wrong.
        lost: Policy ticks that the recording has not.
        skipped: Policy ticks before the first that begins an episode, or after one that was lost.
        untimely: Policy ticks that came at another lowstate than they did then.
    """

    def __init__(self, runner: Runner, tolerance: float = TOLERANCE) -> None:
        self._runner = runner
        self._reads_velocity = runner.contract.reads_velocity
        self._replayed: list[PolicyTick] = []
        self._states: deque[RobotState] = deque(maxlen=_KEPT)
        self._commands: deque[tuple[int, np.ndarray]] = deque(maxlen=_KEPT)
        self._waiting: deque[tuple[Recorded, PolicyTick]] = deque()
        self._followed: deque[tuple[int, np.ndarray]] = deque(maxlen=4)
        """Times and targets of the last ticks in a row that the guard followed."""
        self._loop: PolicyLoop | None = None
        """None while the state that the policy was in is not known."""
        self._knows_estimate = False
        self._last: PolicyTick | None = None
        self._begin = self._policy_since = 0.0
        self.lowstates = self.missing = self.damaged = self.lost = self.skipped = self.untimely = 0
        joints = go2.JOINT_NAMES
        self.observation = Comparison("observation", observation_elements(runner.contract), tolerance)
        self.velocity = Comparison("estimated velocity", ("vx", "vy", "vz"), tolerance)
        self.position = Comparison("estimated position", ("x", "y", "z"), tolerance)
        self.target = Comparison("target", joints, tolerance)
        self.lowcmd = Comparison("lowcmd", joints, tolerance)
        self.comparisons = (self.observation, self.velocity, self.position, self.target, self.lowcmd)
        self.signs = SignWatch(runner.contract, tolerance)

    @property
    def seconds(self) -> float:
        """Between the first and the last tick."""
        return self._last.stamp - self._begin if self._last else 0.0

    @property
    def differs(self) -> bool:
        """Anything is not as it was recorded."""
        return self.untimely > 0 or any(c.differing for c in self.comparisons)

    def feed(self, message: Recorded) -> None:
        """Takes in the next message."""
        if message.topic == LOWSTATE.topic:
            self.lowstates += 1
            self._take(lambda: self._states.append(wire.decode_lowstate(message.data, 0.0)))
        elif message.topic == LOWCMD.topic:
            self._take(lambda: self._commands.append((message.published, wire.decode_lowcmd(message.data).q)))
        elif message.topic == POLICY_TICK.topic:
            self._waiting.append((message, PolicyTick.from_cdr(message.data)))
        while self._waiting and message.stamp - self._waiting[0][0].stamp > _LOOKAHEAD:
            self._replay_next()

    def finish(self) -> None:
        """Replays what still waits; the recording has ended."""
        while self._waiting:
            self._replay_next()
        if self._last is None:
            raise DbpError(f"expected records of the policy's ticks ({POLICY_TICK.topic}), found none: no policy ran")
        if not self.target.compared and self.damaged:
            raise DbpError(f"expected messages of a Go2, found {self.damaged} damaged ones: nothing could be replayed")
        if not self.target.compared:
            raise DbpError("expected a tick that begins an episode, found none: give the recording from its beginning")

    def _take(self, decode) -> None:
        try:
            decode()
        except wire.WireError:
            self.damaged += 1

    def _replay_next(self) -> None:
        message, tick = self._waiting.popleft()
        starts = self._follow(tick)
        if self._loop is None:
            self.skipped += 1
            return
        if tick.begins_episode:
            self._runner.reset()
        self._replayed.clear()
        # A loop that starts in the middle would tick at once; there it is the tick's own lowstate that counts.
        for state in self._seen(tick.lowstates[-1:] if starts else tick.lowstates):
            self._loop.on_state(state, GuardStatus(mode=tick.mode), tick.stamp)
        if not self._replayed and not self.missing:
            self.untimely += 1
        if not self._replayed:
            self._loop = None
            return
        self.untimely += len(self._replayed) > 1
        self._compare(tick, self._replayed[-1])
        self._compare_commands(message.published, tick, self._replayed[-1])

    def _follow(self, tick: PolicyTick) -> bool:
        """Notices where the record begins, breaks and begins anew; whether the loop starts with this tick."""
        last, self._last = self._last, tick
        if last is None:
            self._begin = tick.stamp
        if tick.policy != self._runner.policy:
            raise DbpError(
                f"expected the policy that was recorded (SHA-256 {tick.policy.hex()[:12]}), "
                f"got another ({self._runner.policy.hex()[:12]})"
            )
        if tick.number != 1 and last is not None and tick.number != last.number + 1:
            self.lost += max(0, tick.number - last.number - 1)
            self._loop = None
        if tick.number == 1:  # the policy node has started
            self._loop = None
        if self._loop is not None or not tick.begins_episode:
            return False
        self._knows_estimate = tick.number == 1
        if self._reads_velocity and not self._knows_estimate:
            raise DbpError("this policy reads the estimated velocity: give the recording from its beginning, unbroken")
        self._loop = PolicyLoop(self._runner, lambda _now, _halt: (self._last.command, "recording"))
        self._loop.on_tick = self._replayed.append
        self._policy_since = tick.stamp
        return True

    def _seen(self, ticks_ms: Sequence[int]) -> list[RobotState]:
        """The recorded lowstates of these ticks; forgets the older ones."""
        found = []
        for tick_ms in ticks_ms:
            ahead = next((i for i, state in enumerate(self._states) if state.tick_ms == tick_ms), None)
            if ahead is None:
                self.missing += 1
                continue
            for _ in range(ahead):
                self._states.popleft()
            found.append(self._states.popleft())
        return found

    def _compare(self, then: PolicyTick, now: PolicyTick) -> None:
        where = (then.number, then.stamp - self._begin)
        self.observation.add(then.observation, now.observation, *where)
        self.signs.add(then.observation, now.observation)
        self.target.add(then.target_q_sdk, now.target_q_sdk, *where)
        if self._knows_estimate:
            self.velocity.add(then.velocity_body, now.velocity_body, *where)
            self.position.add(then.position_odom, now.position_odom, *where)

    def _compare_commands(self, sent_at: int, then: PolicyTick, now: PolicyTick) -> None:
        """The commands between two ticks are targets of about then, if the guard follows from before until after."""
        if then.mode != Mode.POLICY:
            self._policy_since = then.stamp
        if then.stamp - self._policy_since < _BLENDED:
            self._followed.clear()
            return
        self._followed.append((sent_at, now.target_q_sdk))
        if len(self._followed) < self._followed.maxlen:
            return
        targets = [target for _, target in self._followed][:-1]
        begin, end = self._followed[1][0], self._followed[2][0]
        while self._commands and self._commands[0][0] < end:
            time, sent = self._commands.popleft()
            if time >= begin:
                target = min(targets, key=lambda target, sent=sent: float(np.abs(target - sent).sum()))
                self.lowcmd.add(sent, target, then.number, then.stamp - self._begin)

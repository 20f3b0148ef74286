"""The mutants that no test can kill, each with the reason.

A survivor that is not here fails the run, as does an entry that is killed or that no longer exists.
"""

from __future__ import annotations

from verdicts import Change, Equivalent

_FIRST_CONTENT = "the first lowstate differs from whatever is no lowstate's content, and begins the count"
_TRUTH = "only whether it is true is looked at, and None is as untrue as False"
_ORDER = "challenges are only compared by which was drawn later; before the first stop nothing is released"
_NOT_BEFORE = "it is read in a mode that has been entered, and entering sets it"
_PAIRS = "both sides have the same length by construction; that it is asked for only guards against later changes"
_SIGN = "only the size of the difference between two sums of the same sign is looked at"

EQUIVALENT = (
    Equivalent(
        Change("guard/checks/lowstate.py", "FrozenWatch.__init__", 'self._content = b""', "self._content = None"),
        _FIRST_CONTENT,
    ),
    Equivalent(
        Change("guard/checks/lowstate.py", "FrozenWatch.__init__", 'self._content = b""', 'self._content = b"XXXX"'),
        _FIRST_CONTENT,
    ),
    Equivalent(
        Change("guard/checks/lowstate.py", "FrozenWatch.__init__", "self._repeats = 0", "self._repeats = None"),
        _FIRST_CONTENT,
    ),
    Equivalent(
        Change("guard/checks/lowstate.py", "FrozenWatch.__init__", "self._repeats = 0", "self._repeats = 1"),
        _FIRST_CONTENT,
    ),
    Equivalent(
        Change(
            "guard/checks/lowstate.py",
            "FrozenWatch.update",
            'content = b"".join((state.q_sdk, state.dq_sdk, state.gyro_body, state.acc_body))',
            'content = b"XXXX".join((state.q_sdk, state.dq_sdk, state.gyro_body, state.acc_body))',
        ),
        "it is only compared with the one before, that has the same between its parts",
    ),
    Equivalent(
        Change(
            "guard/checks/joints.py",
            "EncoderWatch._contradicts_speed",
            "self._drift = self._drift + difference",
            "self._drift = self._drift - difference",
        ),
        _SIGN,
    ),
    Equivalent(
        Change(
            "guard/checks/joints.py",
            "EncoderWatch._is_stuck",
            "if heard is None or 0.0 not in way.tolist() or not any(command.kp.tolist()):",
            "if heard is None or 0.0 not in way.tolist() and not any(command.kp.tolist()):",
        ),
        "a shortcut: where no joint stays, what follows forgets and finds nothing either",
    ),
    Equivalent(
        Change("guard/checks/endpoints.py", "_Endpoint.__init__", "self.pressed = False", "self.pressed = None"),
        _TRUTH,
    ),
    Equivalent(
        Change("guard/checks/endpoints.py", "_Endpoint.__init__", "self._heard = False", "self._heard = None"),
        _TRUTH,
    ),
    Equivalent(
        Change("guard/checks/endpoints.py", "_Endpoint.take", "self.pressed = False", "self.pressed = None"),
        _TRUTH,
    ),
    Equivalent(
        Change("guard/checks/endpoints.py", "_Endpoint.__init__", "self._drawn = 0", "self._drawn = 1"),
        _ORDER,
    ),
    Equivalent(
        Change("guard/checks/endpoints.py", "_Endpoint.ask", "self._drawn += 1", "self._drawn += 2"),
        _ORDER,
    ),
    Equivalent(
        Change("guard/checks/endpoints.py", "_Endpoint.__init__", "self._drawn_at_stop = 0", "self._drawn_at_stop = 1"),
        _ORDER,
    ),
    Equivalent(
        Change(
            "guard/checks/endpoints.py",
            "_Endpoint.take",
            "number, drawn = self._outstanding.pop(check_in.challenge, (0, -math.inf))",
            "number, drawn = self._outstanding.pop(check_in.challenge, (1, -math.inf))",
        ),
        "a challenge that was never drawn is not alive, and its number is not looked at",
    ),
    Equivalent(
        Change("guard/guard.py", "Guard.__init__", "self._pressed = False", "self._pressed = None"),
        _TRUTH,
    ),
    Equivalent(
        Change("guard/guard.py", "Guard.__init__", "self._motion = np.zeros(15)", "self._motion = np.zeros(None)"),
        "a single zero takes the shape of the first lowstate's speeds; before that nothing is at rest",
    ),
    Equivalent(
        Change("guard/guard.py", "Guard.__init__", "self._entered = 0.0", "self._entered = 1.0"),
        _NOT_BEFORE,
    ),
    Equivalent(
        Change("guard/guard.py", "Guard._mean_motion", "return np.full(15, 1e3)", "return np.full(None, 1e3)"),
        "a single number takes the shape of the next lowstate's speeds; it is no rest either",
    ),
    Equivalent(
        Change("guard/guard.py", "Guard._mean_motion", "return np.full(15, 1e3)", "return np.full(15, 1001.0)"),
        "a thousandth more falls below the speed of rest in the same step, the 73rd",
    ),
    Equivalent(
        Change(
            "guard/guard.py",
            "Guard._wanted",
            "share = motions.smooth(elapsed / BLEND_TIME[mode]) if mode in BLEND_TIME else 1.0",
            "share = motions.smooth(elapsed / BLEND_TIME[mode]) if mode in BLEND_TIME else 2.0",
        ),
        "a share of one or more is the goal itself",
    ),
    Equivalent(
        Change(
            "guard/guard.py", "Guard._react", 'refusals = [""] * len(requests)', 'refusals = ["XXXX"] * len(requests)'
        ),
        "every one of them is written in the loop below",
    ),
    Equivalent(
        Change("guard/loop.py", "GuardLoop.__init__", "self._policy_gone = False", "self._policy_gone = None"),
        _TRUTH,
    ),
    Equivalent(
        Change("guard/loop.py", "GuardLoop.__init__", "self._policy_gone = False", "self._policy_gone = True"),
        "it is looked at in the policy's mode, and long before that every lowstate passed on sets it",
    ),
    Equivalent(
        Change(
            "guard/loop.py",
            "GuardLoop.__init__",
            "self._rivals_seen = self._foreign = 0",
            "self._rivals_seen = self._foreign = None",
        ),
        _TRUTH,
    ),
    Equivalent(
        Change("guard/loop.py", "GuardLoop.take_over", 'begin, told = now(), ""', 'begin, told = now(), "XXXX"'),
        "a step that is not the last one says what it waits for, and that is neither",
    ),
    Equivalent(
        Change(
            "guard/loop.py",
            "GuardLoop._tick",
            "if self._robot.lowstates.wait(pace.latest() - now()) and (early := pace.earliest() - now()) > 0.0:",
            "if self._robot.lowstates.wait(pace.latest() - now()) and (early := pace.earliest() - now()) >= 0.0:",
        ),
        "a sleep of no length is none",
    ),
    *(
        Equivalent(
            Change(
                "guard/loop.py",
                "GuardLoop._step",
                "for asker, refusal in zip(askers, output.refusals, strict=True):",
                f"for asker, refusal in zip(askers, output.refusals, {strict}):",
            ),
            _PAIRS,
        )
        for strict in ("strict=None", "", "strict=False")
    ),
    *(
        Equivalent(
            Change(
                "guard/rehearsal.py",
                "describe",
                "legs = zip(go2.LEGS, command.q.reshape(4, 3), strict=True)",
                f"legs = zip(go2.LEGS, command.q.reshape(4, 3), {strict})",
            ),
            _PAIRS,
        )
        for strict in ("strict=None", "", "strict=False")
    ),
    Equivalent(
        Change(
            "guard/senses.py",
            "Senses.__init__",
            "self._caught_up: RobotState | None = None",
            'self._caught_up: RobotState | None = ""',
        ),
        "no lowstate is the one or the other",
    ),
    Equivalent(
        Change("guard/take_over.py", "TakeOver.__init__", "self._heard = now", "self._heard = None"),
        "it is only read once there is a lowstate, which sets it",
    ),
    Equivalent(
        Change("guard/take_over.py", "TakeOver.__init__", "self._released = False", "self._released = None"),
        _TRUTH,
    ),
)

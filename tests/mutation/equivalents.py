"""The mutants that no test can kill, each with the reason.

A survivor that is not here fails the run, as does an entry that is killed or that no longer exists.
"""

from __future__ import annotations

from verdicts import Change, Equivalent

_FIRST_CONTENT = "the first lowstate differs from whatever is no lowstate's content, and begins the count"
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
            "guard/checks/joints.py",
            "EncoderWatch._contradicts_speed",
            "self._drift = self._drift + difference",
            "self._drift = self._drift - difference",
        ),
        _SIGN,
    ),
)

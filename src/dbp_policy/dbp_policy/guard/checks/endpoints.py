"""Remote e-stop endpoints: each of them has to answer, and none of them may be pressed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EndpointReport:
    """What the endpoints say, all together."""

    pressed: bool = False
    """One of them asks to stop."""
    silent: tuple[str, ...] = ()
    """Names of those that do not answer."""

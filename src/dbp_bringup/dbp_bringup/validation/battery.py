"""What a policy is tried against, as data: commands, friction, payload, command delay, pushes, sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

from dbp_policy import go2

Command = tuple[float, float, float]
"""vx, vy, wz in body axes [m/s, m/s, rad/s]."""

FRICTION = 0.8
"""Ground of the nominal scenarios."""

COMMANDS: dict[str, Command] = {
    "still": (0.0, 0.0, 0.0),
    "forward": (0.5, 0.0, 0.0),
    "backward": (-0.4, 0.0, 0.0),
    "left": (0.0, 0.3, 0.0),
    "right": (0.0, -0.3, 0.0),
    "turn left": (0.0, 0.0, 0.8),
    "turn right": (0.0, 0.0, -0.8),
    "arc": (0.4, 0.0, 0.5),
    "diagonal": (0.3, 0.2, 0.0),
}

CHANGES: tuple[Command, ...] = ((0.5, 0.0, 0.0), (0.0, 0.0, 0.0), (-0.4, 0.0, 0.0), (0.0, 0.3, -0.8))
"""Commands that follow one another as steps, harder than the command mux lets them."""

UP, DOWN = (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)
"""Commands of a policy that goes onto its front legs: the first number says whether."""

PUSH_TIMES = (2.03, 4.17, 6.31)
"""Of a scenario's pushes [s]; no multiple of a gait's period, so that they meet different feet."""


@dataclass(frozen=True)
class Scenario:
    """One try: stand up, walk under these conditions, sit down."""

    group: str
    """What it is a variation of."""
    name: str
    commands: tuple[Command, ...]
    """Given one after the other for equal shares of the walk."""
    posture: go2.Posture = "four_legs"
    """Of the policy; on the front legs the first number of a command is no velocity, but asks to be up there."""
    walk_seconds: float = 8.0
    friction: float = FRICTION
    payload_kg: float = 0.0
    payload_position: tuple[float, float, float] = (0.0, 0.0, 0.09)
    """Centre of the payload in the base frame [m]."""
    delay_ms: int = 0
    """Added to every motor command."""
    push: tuple[float, float] = (0.0, 0.0)
    """Kicks of the base at `PUSH_TIMES`, forward and left of it [m/s]."""
    noise: float = 0.0
    """Scale of the sensor noise."""
    level: float = 0.0
    """How far the varied quantity goes; what the group's margin is counted in."""

    @property
    def required(self) -> bool:
        """Without push and added delay a policy that is let near a robot neither falls nor raises a fault."""
        return self.delay_ms == 0 and self.push == (0.0, 0.0)

    @property
    def nominal(self) -> bool:
        """Required, and neither ground nor load is out of the ordinary: the velocity has to be right, too."""
        return self.required and self.group == "command"

    @property
    def key(self) -> str:
        return f"{self.group}: {self.name}"


def _nominal() -> list[Scenario]:
    single = [Scenario("command", name, (command,)) for name, command in COMMANDS.items()]
    return [*single, Scenario("command", "changes", CHANGES)]


def _varied(group: str, field: str, levels: tuple[float, ...], unit: str, commands: tuple[str, ...]) -> list[Scenario]:
    return [
        Scenario(group, f"{level:g}{unit} {name}", (COMMANDS[name],), **{field: level}, level=level)
        for level in levels
        for name in commands
    ]


def _pushes(speed: float, commands: tuple[str, ...]) -> list[Scenario]:
    return [
        Scenario("push", f"{speed:g} m/s {way}, {name}", (COMMANDS[name],), push=(speed * x, speed * y), level=speed)
        for name in commands
        for way, (x, y) in {"forward": (1, 0), "back": (-1, 0), "to the left": (0, 1), "to the right": (0, -1)}.items()
    ]


def _combined() -> list[Scenario]:
    return [
        Scenario("combined", "slippery, pushed", CHANGES, friction=0.4, push=(0.0, 0.4)),
        Scenario("combined", "loaded, delayed", CHANGES, payload_kg=2.0, delay_ms=10),
        Scenario("combined", "noise, delayed, pushed", CHANGES, noise=1.0, delay_ms=10, push=(-0.4, 0.0)),
        Scenario("combined", "all", CHANGES, friction=0.6, payload_kg=2.0, delay_ms=5, push=(0.3, 0.3), noise=1.0),
    ]


def battery(posture: go2.Posture) -> tuple[Scenario, ...]:
    """What a policy of this posture is tried against; every name is unique."""
    return _walks() if posture == "four_legs" else _handstands()


def _handstands() -> tuple[Scenario, ...]:
    def handstand(group: str, name: str, turn: float = 0.0, **conditions) -> Scenario:
        up = (1.0, 0.0, turn)
        return Scenario(group, name, (up, up, DOWN), "front_legs", 12.0, **conditions)

    ways = {"forward": (1, 0), "back": (-1, 0), "to the left": (0, 1), "to the right": (0, -1)}
    return (
        handstand("command", "up and down"),
        handstand("command", "up, turn left, down", 0.3),
        handstand("command", "up, turn right, down", -0.3),
        Scenario("command", "up and down twice", (UP, DOWN, UP, DOWN), "front_legs", 16.0),
        *(handstand("friction", f"{mu:g}", friction=mu) for mu in (0.6, 1.2)),
        *(handstand("payload", f"{kg:g} kg", payload_kg=kg, level=kg) for kg in (0.5, 1.0)),
        handstand("noise", "up and down", noise=1.0),
        *(handstand("delay", f"{ms} ms", delay_ms=ms, level=ms) for ms in (5, 10, 15, 20)),
        *(
            handstand("push", f"{speed:g} m/s {way}", push=(speed * x, speed * y), level=speed)
            for speed in (0.1, 0.2, 0.4)
            for way, (x, y) in ways.items()
        ),
    )


def _walks() -> tuple[Scenario, ...]:
    behind, aside = (-0.12, 0.0, 0.09), (0.0, 0.06, 0.09)
    return (
        *_nominal(),
        *_varied("friction", "friction", (0.4, 0.6, 1.2), "", ("forward", "left", "turn left")),
        *_varied("payload", "payload_kg", (2.0, 4.0), " kg", ("still", "forward", "turn left")),
        Scenario("payload", "2 kg behind, forward", (COMMANDS["forward"],), payload_kg=2.0, payload_position=behind),
        Scenario("payload", "2 kg aside, forward", (COMMANDS["forward"],), payload_kg=2.0, payload_position=aside),
        Scenario("noise", "changes", CHANGES, noise=1.0),
        *_varied("delay", "delay_ms", (5, 10, 15, 20, 30, 40), " ms", ("forward", "turn left")),
        *_pushes(0.5, ("still", "forward")),
        *_pushes(1.0, ("forward",)),
        *_pushes(1.5, ("forward",)),
        *_combined(),
    )

"""The MuJoCo robot's local channel: ground truth out, hands on the robot in. For tests and reports, never on DDS.

JSON datagrams on Unix sockets: the robot sends truth to `truth.sock` if somebody listens there, and takes pushes and
the remote's buttons and sticks on `robot.sock`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dbp_bringup.robot.physics import Truth
from dbp_policy.local_socket import LocalSocket
from dbp_policy.unitree.remote import Remote

TRUTH_SOCKET, ROBOT_SOCKET = "truth.sock", "robot.sock"


@dataclass(frozen=True)
class TruthSample:
    """Ground truth of one instant."""

    stamp: float
    """When it was sent, monotonic [s]."""
    position: tuple[float, float, float]
    """Base in the world [m]."""
    velocity_body: tuple[float, float, float]
    """[m/s]"""
    yaw_rate: float
    """[rad/s]"""
    up_z: float
    """Cosine of the tilt."""
    trunk_contact: bool
    """Trunk or head touches the ground."""

    @classmethod
    def of(cls, truth: Truth, stamp: float) -> TruthSample:
        """Makes a sample of the physics' truth."""
        return cls(
            stamp,
            tuple(truth.position.tolist()),
            tuple(truth.velocity_body.tolist()),
            truth.yaw_rate,
            truth.up_z,
            truth.trunk_contact,
        )


class Channel:
    """JSON objects over a local socket.

    Args:
        folder: Folder of the stack's sockets.
        name: Name to bind, or None to only send.

    Raises:
        DbpError: The name has an owner.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self._socket = LocalSocket(folder, name)

    def send(self, message: dict, to: str) -> bool:
        """Sends to a bound channel of the folder; False if nobody takes it."""
        try:
            self._socket.send(json.dumps(message).encode(), to)
        except OSError:
            return False
        return True

    def receive(self) -> list[dict]:
        """The objects waiting, oldest first; anything else is dropped."""
        messages = []
        for data, _ in self._socket.receive():
            try:
                message = json.loads(data)
            except ValueError:
                continue
            if isinstance(message, dict):
                messages.append(message)
        return messages

    def close(self) -> None:
        """Gives the name up."""
        self._socket.close()


def send_truth(channel: Channel, truth: Truth, stamp: float) -> None:
    """The robot's side: publishes ground truth."""
    channel.send(asdict(TruthSample.of(truth, stamp)), TRUTH_SOCKET)


def read_truth(channel: Channel) -> list[TruthSample]:
    """A listener's side, on a channel bound to `TRUTH_SOCKET`."""
    return [TruthSample(**message) for message in channel.receive()]


def hold_remote(channel: Channel, remote: Remote) -> bool:
    """A test's side: holds the remote's buttons and sticks like this from now on."""
    return channel.send({"remote": {**asdict(remote), "buttons": sorted(remote.buttons)}}, ROBOT_SOCKET)


def press_remote(channel: Channel, buttons: frozenset[str]) -> bool:
    """A test's side: holds these buttons of the remote from now on, and lets its sticks go."""
    return hold_remote(channel, Remote(present=True, buttons=buttons))


def push_robot(channel: Channel, dv_xyz: tuple[float, float, float]) -> bool:
    """A test's side: kicks the base by a velocity in world axes [m/s]."""
    return channel.send({"push": list(dv_xyz)}, ROBOT_SOCKET)


def remote_of(message: dict) -> Remote | None:
    """The remote that a message sets, or None."""
    if "remote" not in message:
        return None
    hand = message["remote"]
    return Remote(**{**hand, "buttons": frozenset(hand["buttons"])})

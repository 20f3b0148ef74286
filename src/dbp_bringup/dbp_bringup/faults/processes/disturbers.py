"""Processes around the stack: who drives it, who loads the machine, and who disturbs the wire."""

from __future__ import annotations

import os
import socket
from multiprocessing.connection import Connection

import numpy as np

from dbp_policy import clock, go2, realtime
from dbp_policy.clock import Ticker, now
from dbp_policy.types import MotorCommand
from dbp_policy.unitree import wire
from dbp_policy.unitree.channels import Participant

_DRIVER_PRIORITY = 20
"""A velocity source on another computer would not be held up by this one's load."""
_RIVAL_PRIORITY = 55
_FLOOD_TOPIC = "rt/api/flood/request"
_FLOOD_HZ = 10_000
_BURST = 10
_DDS_PORTS = range(7400, 7430)
"""Of the first participants of a domain, without the domain's own offset (RTPS 2.5, 9.6.2.4)."""
_PORTS_PER_DOMAIN = 250


def drive(pipe: Connection, velocity: tuple[float, float, float]) -> None:
    """Publishes a velocity as a human's, at 20 Hz, for ever."""
    from dbp_bringup.session import COMMAND_PERIOD, Session

    with Session("cmd_vel_teleop") as session:
        realtime.take_priority(_DRIVER_PRIORITY)
        pipe.send("ready")
        while True:
            session.drive(np.array(velocity))
            clock.sleep(COMMAND_PERIOD)


def hog(pipe: Connection) -> None:
    """Computes for ever."""
    pipe.send("ready")
    while True:
        pass


def flood(pipe: Connection, domain: int) -> None:
    """Publishes on another topic of the stack's domain at 10 kHz, and as often sends junk to its participants' ports.

    Each message in the pipe is answered with the rate reached since the last one [1/s].
    """
    writer = Participant("lo", domain).writer(_FLOOD_TOPIC)
    junk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ports = [port + _PORTS_PER_DOMAIN * domain for port in _DDS_PORTS]
    payload, noise = b"\x00\x01\x00\x00" + os.urandom(64), b"RTPS" + os.urandom(96)
    pipe.send("ready")
    ticker, begin, sent = Ticker(_BURST / _FLOOD_HZ), now(), 0
    while True:
        for i in range(_BURST):
            writer.write(payload)
            try:
                junk.sendto(noise, ("127.0.0.1", ports[(sent + i) % len(ports)]))
            except ConnectionRefusedError:  # nobody has that port
                pass
        sent += _BURST
        ticker.sleep()
        if pipe.poll():
            pipe.recv()
            pipe.send(sent / (now() - begin))
            begin, sent = now(), 0


def sink(pipe: Connection, domain: int) -> None:
    """Reads what `flood` publishes: without a reader DDS would send nothing."""
    reader = Participant("lo", domain).reader(_FLOOD_TOPIC, depth=64)
    pipe.send("ready")
    while True:
        reader.wait(0.01)
        reader.take()


def rival(pipe: Connection, domain: int) -> None:
    """Commands the motors too: well-formed, stiff, in the standing pose, as another controller would.

    It has a priority of its own, so that the machine's load does not keep it out. It takes "who", which it answers with
    its process id, "go", and "leave", which it answers when it has.
    """
    realtime.take_priority(_RIVAL_PRIORITY)  # DDS's threads inherit it
    participant = Participant("lo", domain)
    zero = np.zeros(go2.NUM_JOINTS)
    kp, kd = np.full(go2.NUM_JOINTS, go2.STAND_KP), np.full(go2.NUM_JOINTS, go2.STAND_KD)
    payload = wire.encode_lowcmd(MotorCommand(q=go2.STAND_Q, dq=zero, kp=kp, kd=kd, tau=zero))
    pipe.send("ready")
    ticker, writer, asked = Ticker(1.0 / go2.LOWSTATE_HZ), None, ""
    while asked != "leave":
        if writer is not None:
            writer.write(payload)
        ticker.sleep()
        asked = pipe.recv() if pipe.poll() else ""
        if asked == "who":
            pipe.send(os.getpid())
        elif asked == "go":
            writer = participant.writer(wire.LOWCMD_TOPIC)
    participant.close()
    pipe.send("left")

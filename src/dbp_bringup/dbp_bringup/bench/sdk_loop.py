"""A control loop as one writes it on the SDK alone: its reader, types, CRC and writer; the reference of the benches."""

from __future__ import annotations

import os
import time

import numpy as np

from dbp_policy import go2, realtime
from dbp_policy.clock import now
from dbp_policy.unitree import sdk, wire
from dbp_policy.unitree.crc import crc32_words

QUEUE = 0
"""Lowstates between the SDK's listener and the handler: none, the quickest. Its examples (go2_stand_example.py) have
10, for 0.1 ms more."""
SILENCE = 10.0
"""A loop that hears no robot for so long ends: whoever started it is gone [s]."""


def has_crc_library() -> bool:
    """Whether the SDK's shared library for the CRC is installed; without it the SDK computes in Python."""
    return sdk.crc().platform == "Linux"


def fast_crc():
    """The SDK's checksum object as if it had its library: its packing of the C struct, and our CRC over the result."""
    checksum = sdk.crc()
    checksum._crc_py = checksum._crc_ctypes = lambda words: crc32_words(np.array(words, "<u4"))
    return checksum


def run(domain: int, fast: bool, priority: int) -> None:
    """Answers every rt/lowstate with damping, in the handler of the SDK's subscriber, until the robot is silent.

    Args:
        domain: DDS domain, on loopback.
        fast: Whether to use `fast_crc`.
        priority: Real-time priority, the guard's own, so that what is compared is the code.
    """
    realtime.take_priority(priority)  # DDS's threads inherit it, and the handler runs in one of them
    channel, default, go = sdk.module("core.channel"), sdk.module("idl.default"), sdk.go_types()
    # The SDK would trace into a file of /tmp that only its owner can open again.
    channel.ChannelConfigHasInterface = channel.ChannelConfigHasInterface.replace("/tmp/cdds.LOG", os.devnull)
    channel.ChannelFactoryInitialize(domain, "lo")
    checksum = fast_crc() if fast else sdk.crc()
    publisher = channel.ChannelPublisher(wire.LOWCMD_TOPIC, go.LowCmd_)
    publisher.Init()
    command = default.unitree_go_msg_dds__LowCmd_()
    command.head, command.level_flag = list(wire.HEAD), wire.LEVEL_LOW
    for motor in command.motor_cmd:
        motor.mode, motor.q, motor.dq = wire.MODE_SERVO, wire.POS_STOP_F, wire.VEL_STOP_F
    heard = [now()]

    def answer(state) -> None:
        heard[0] = now()
        for motor in command.motor_cmd[: go2.NUM_JOINTS]:
            motor.q, motor.dq, motor.kp, motor.kd, motor.tau = 0.0, 0.0, 0.0, go2.DAMPING_KD, 0.0
        command.crc = checksum.Crc(command)
        publisher.Write(command)

    subscriber = channel.ChannelSubscriber(wire.LOWSTATE_TOPIC, go.LowState_)
    subscriber.Init(answer, QUEUE)
    while now() - heard[0] < SILENCE:
        time.sleep(0.5)

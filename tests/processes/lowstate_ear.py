"""A process that hears rt/lowstate for itself: when each came, the robot's own counter, and the remote's left stick.

Usage: lowstate_ear.py DOMAIN FILE. It prints a line at the first lowstate, and writes the file (npy, a row each) on
SIGTERM.
"""

import sys

import numpy as np

from dbp_policy.clock import now
from dbp_policy.stop_request import StopRequest
from dbp_policy.unitree import wire
from dbp_policy.unitree.channels import Participant
from dbp_policy.unitree.remote import decode_remote


def main() -> None:
    stop = StopRequest().on_signals()
    reader = Participant("lo", int(sys.argv[1])).reader(wire.LOWSTATE_TOPIC, depth=64)
    rows = []
    while not stop.wait(0.001):
        for payload in reader.take():
            heard = now()
            state = wire.decode_lowstate(payload, heard)
            remote = decode_remote(state.remote)
            if not rows:
                print("hears", flush=True)
            rows.append((heard, state.tick_ms, remote.ly, remote.rx))
    np.save(sys.argv[2], np.array(rows))


if __name__ == "__main__":
    main()

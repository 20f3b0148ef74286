"""`./dbp estop-endpoint`: a stop at a distance that the guard has to hear from, or it stops the robot."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from dbp_policy import clock
from dbp_policy.cli import parse
from dbp_policy.clock import now
from dbp_policy.errors import DbpError, run_main
from dbp_policy.estop_client import Endpoint
from dbp_policy.estop_key import make_key, read_key
from dbp_policy.estop_records import PORT, check_name
from dbp_policy.keyboard import Keyboard
from dbp_policy.stop_request import ENDING, on_ending

STOP_KEYS, RELEASE_KEY = " \n\r", "r"
HELP = "keys:  space or Enter STOP   r release (the guard stays latched until reset)   Ctrl-C stop and leave"
_LINE_PERIOD = 0.2
_LEAVING = 0.5
"""How long a stop is said before leaving, if the guard does not answer [s]."""
_MAX_SIZE = 128


@dataclass(frozen=True)
class Args:
    """Holds a stop for a robot whose guard was told to expect this endpoint.

    Keys: space or Enter stops the robot, r releases the stop (the guard stays latched until it is reset), Ctrl-C stops
    and leaves. Leaving stops the robot, in whatever way: a guard that does not hear from this endpoint for 0.3 s stops
    it. Without a terminal it only checks in until it is ended.

    A software protective stop, not an emergency stop: that is the robot's battery switch.
    """

    guard: str = ""
    """HOST or HOST:PORT of the guard's computer."""
    name: str = ""
    """Name of this endpoint, as the guard was told."""
    key: Path | None = None
    """File of the key that guard and endpoints share."""
    make_key: Path | None = None
    """Write a new key to this file and end; copy it to the guard's computer by a safe way."""


def guard_address(text: str) -> tuple[str, int]:
    """IPv4 address and port of HOST or HOST:PORT.

    Raises:
        DbpError: There is no such host, or the port is none.
    """
    host, colon, port = text.partition(":")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise DbpError(f"--guard: expected HOST or HOST:PORT, got {text!r}")
    try:
        return socket.getaddrinfo(host, int(port or PORT), socket.AF_INET, socket.SOCK_DGRAM)[0][4]
    except (OSError, UnicodeError):
        raise DbpError(f"--guard: expected a host that can be found, got {host!r}") from None


class Wire:
    """A UDP socket to the guard alone. What cannot be sent or heard now is missed, and shows as that."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        try:
            self.socket.connect(address)
        except OSError as error:
            self.socket.close()
            raise DbpError(f"--guard: cannot reach {address[0]}: {error.strerror}") from None

    def exchange(self, endpoint: Endpoint) -> None:
        """Takes what has come and sends what is due."""
        with contextlib.suppress(OSError):  # nothing waits; or nobody listened to what was sent last
            while True:
                endpoint.receive(self.socket.recv(_MAX_SIZE), now())
        check_in = endpoint.check_in(now())
        if check_in is not None:
            with contextlib.suppress(OSError):
                self.socket.send(check_in)


def serve(endpoint: Endpoint, wire: Wire, keyboard: Keyboard | None) -> None:
    """Checks in and obeys the keys until interrupted."""
    shown = -_LINE_PERIOD
    while True:
        wire.exchange(endpoint)
        if keyboard is not None:
            for key in keyboard.keys():
                press(endpoint, key)
            if now() - shown >= _LINE_PERIOD:
                shown = now()
                print(f"\r\033[K{endpoint.line(shown)[:100]}", end="", flush=True)
        heard = [wire.socket] if keyboard is None else [wire.socket, keyboard.file]
        select.select(heard, [], [], clock.real(endpoint.wait(now())))


def press(endpoint: Endpoint, key: str) -> None:
    """What a key does."""
    if key in STOP_KEYS:
        endpoint.press(now())
    elif key == RELEASE_KEY:
        endpoint.release()


def leave(endpoint: Endpoint, wire: Wire) -> bool:
    """Says stop until the guard has heard it, at most `_LEAVING`; whether it has."""
    endpoint.press(now())
    end = now() + _LEAVING
    while now() < end and not endpoint.stop_heard:
        wire.exchange(endpoint)
        select.select([wire.socket], [], [], clock.real(endpoint.wait(now())))
    return endpoint.stop_heard


def run(args: Args) -> int:
    """Holds the stop until the process is ended; the exit code."""
    if args.make_key is not None:
        make_key(args.make_key)
        print(f"wrote {args.make_key}; the guard's computer needs a copy")
        return 0
    if not args.guard or not args.name or args.key is None:
        raise DbpError("expected --guard HOST[:PORT], --name NAME and --key FILE, or --make-key FILE")
    endpoint = Endpoint(check_name(args.name), read_key(args.key))
    wire = Wire(guard_address(args.guard))
    on_ending(signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            if sys.stdin.isatty():
                print(HELP)
                with Keyboard() as keyboard:
                    serve(endpoint, wire, keyboard)
            print(f"{args.name}: no terminal, so no keys; checking in until ended", flush=True)
            serve(endpoint, wire, None)
    finally:
        for number in ENDING:  # the stop is said to its end
            signal.signal(number, signal.SIG_IGN)
        heard = leave(endpoint, wire)
    print("\nleft: " + ("the guard has heard the stop" if heard else "the guard did not answer; it stops the robot"))
    return 0


def main() -> int:
    """Console entry point."""
    return run_main(lambda: run(parse(Args, "dbp estop-endpoint")))


if __name__ == "__main__":
    sys.exit(main())

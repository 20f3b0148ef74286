"""A remote e-stop endpoint and the guard's watch on it: over a network that delays and loses, and real sockets."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest

from dbp_policy.clock import now
from dbp_policy.errors import DbpError
from dbp_policy.estop_client import PERIOD, Endpoint
from dbp_policy.estop_endpoint import Wire, leave, press
from dbp_policy.estop_key import make_key, read_key
from dbp_policy.estop_records import Wish
from dbp_policy.guard.checks.endpoints import EndpointReport, EndpointWatch
from dbp_policy.guard.endpoint_socket import EndpointSocket, RemoteStops
from dbp_policy.guard.thresholds import ENDPOINT_TIMEOUT
from dbp_policy.types import GuardStatus, Mode

KEY = bytes(range(32))
TICK = 0.002
RUN, STOP = Wish.RUN, Wish.STOP


# The endpoint itself, over a network ---------------------------------------------------------------------------------


class Network:
    """A watch and an endpoint, each way with a delay, jitter and loss; time is injected."""

    def __init__(self, delay: float = 0.0, jitter: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self.watch = EndpointWatch(("gate",), KEY, np.random.default_rng(seed).bytes)
        self.endpoint = Endpoint("gate", KEY)
        self._way = lambda: delay + jitter * self._random.random()
        self._loss = loss
        self._random = np.random.default_rng(seed + 1)
        self._to_guard: list[tuple[float, bytes]] = []
        self._to_endpoint: list[tuple[float, bytes]] = []
        self.now = 50.0
        self.alive = True

    def step(self) -> EndpointReport:
        """One tick of the guard."""
        self.now += TICK
        for datagram in self._arrived("_to_endpoint"):
            self.endpoint.receive(datagram, self.now)
        check_in = self.endpoint.check_in(self.now) if self.alive else None
        if check_in is not None:
            self._send(self._to_guard, check_in)
        for datagram in self._arrived("_to_guard"):
            answer = self.watch.receive(datagram, self.now)
            if answer is not None:
                self._send(self._to_endpoint, answer)
        return self.watch.report(self.now)

    def run(self, seconds: float) -> list[EndpointReport]:
        return [self.step() for _ in range(round(seconds / TICK))]

    def _send(self, queue: list, datagram: bytes) -> None:
        if self._random.random() >= self._loss:
            queue.append((self.now + self._way(), datagram))

    def _arrived(self, name: str) -> list[bytes]:
        queue = getattr(self, name)
        setattr(self, name, [entry for entry in queue if entry[0] > self.now])
        return [datagram for _, datagram in sorted(entry for entry in queue if entry[0] <= self.now)]


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.07, 0.09])
def test_an_endpoint_far_away_is_heard_all_the_same(delay):
    network = Network(delay, jitter=0.3 * delay)
    network.run(1.0)
    assert set(network.run(10.0)) == {EndpointReport()}
    assert network.endpoint.round_trip >= 2 * delay - 1e-9 and network.endpoint.answered(network.now)


def test_an_endpoint_further_away_than_the_guard_waits_is_not_heard():
    network = Network(delay=0.16)
    assert set(network.run(10.0)) == {EndpointReport(False, ("gate",))}


def test_one_lost_datagram_of_a_hundred_is_not_missed():
    network = Network(delay=0.005, jitter=0.02, loss=0.01)
    network.run(1.0)
    assert set(network.run(60.0)) == {EndpointReport()}


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.09])
def test_a_stop_is_held_until_the_release_and_is_one_press(delay):
    network = Network(delay, jitter=0.3 * delay)
    network.run(1.0)
    network.endpoint.press(network.now)
    reports = network.run(3.0)
    first = next(i for i, report in enumerate(reports) if report.pressed)
    assert first * TICK <= 1.3 * delay + 2 * TICK
    assert all(report == EndpointReport(True, ()) for report in reports[first:])
    assert network.endpoint.stop_heard
    network.endpoint.release()
    released = [report.pressed for report in network.run(1.0)]
    assert sum(a != b for a, b in itertools.pairwise(released)) <= 1 and not released[-1]
    assert set(network.run(3.0)) == {EndpointReport()}


def test_a_stop_comes_through_though_four_of_five_datagrams_are_lost():
    times = []
    for seed in range(50):
        network = Network(loss=0.8, seed=seed)
        network.endpoint.press(network.now)
        times.append(next(i * TICK for i, report in enumerate(network.run(2.0)) if report.pressed))
    assert np.median(times) < 0.1


def test_an_endpoint_that_dies_is_missed():
    network = Network(delay=0.001)
    network.run(1.0)
    network.alive = False
    reports = network.run(1.0)
    first = next(i for i, report in enumerate(reports) if report.silent)
    assert ENDPOINT_TIMEOUT - PERIOD[RUN] - 2 * TICK <= first * TICK <= ENDPOINT_TIMEOUT + 2 * TICK
    assert all(report.silent for report in reports[first:])


# Sockets -------------------------------------------------------------------------------------------------------------


def test_the_guard_refuses_names_and_keys_that_do_not_serve(tmp_path):
    key = tmp_path / "key"
    make_key(key)
    for names, file, reason in (
        ("gate", None, "^expected e-stop endpoints and their key together, got one without the other$"),
        ("", key, "together"),
        ("gate,", key, "1 to 16 bytes"),
        ("gate, gate", key, "once"),
        ("gate", tmp_path / "no", "No such file"),
    ):
        with pytest.raises(DbpError, match=reason):
            RemoteStops(names, file, 0)
    with pytest.raises(DbpError, match="cannot listen"):
        RemoteStops("gate", key, 70000)


def test_a_port_has_one_guard(tmp_path):
    socket = EndpointSocket(0, "127.0.0.1")
    with pytest.raises(DbpError, match="cannot listen"):
        EndpointSocket(socket.port, "127.0.0.1")
    socket.close()


def test_a_guard_without_endpoints_opens_no_port():
    stops = RemoteStops("", None)
    assert stops.socket is None and stops.report(0.0) == stops.report(1e6) == EndpointReport()
    stops.tell(GuardStatus())
    stops.close()


def exchange(sockets: list, until, limit: int = 2000) -> bool:
    """Lets all sides do what they do until something holds, each round a tick of the guard's injected time."""
    for _ in range(limit):
        for side in sockets:
            side()
        if until():
            return True
        time.sleep(0.001)
    return False


def test_watch_socket_and_endpoint_over_real_datagrams(tmp_path):
    key = tmp_path / "key"
    make_key(key)
    stops = RemoteStops("gate", key, 0)
    endpoint = Endpoint("gate", read_key(key))
    wire = Wire(("127.0.0.1", stops.socket.port))
    stranger = Wire(("127.0.0.1", stops.socket.port))
    reports, ticks = [], itertools.count()

    def guard():
        reports.append(stops.report(next(ticks) * TICK))

    def far_end():
        stranger.socket.send(b"nonsense" * 100)
        wire.exchange(endpoint)

    stops.tell(GuardStatus(mode=Mode.STANDING))
    assert exchange([guard, far_end], lambda: reports[-1] == EndpointReport())
    assert reports[0].silent == ("gate",) and endpoint.line(now()).startswith("gate: run   guard: standing  round trip")
    press(endpoint, " ")
    stops.tell(GuardStatus(mode=Mode.SETTLING, latched=True))
    assert exchange([guard, far_end], lambda: reports[-1].pressed and endpoint.stop_heard)
    assert endpoint.line(now()).startswith("gate: STOP  guard: settling, latched")
    press(endpoint, "r")
    assert exchange([guard, far_end], lambda: reports[-1] == EndpointReport())
    with pytest.raises(BlockingIOError):
        stranger.socket.recv(128)  # nobody answers it
    assert exchange([guard], lambda: reports[-1].silent == ("gate",))
    stops.close()
    for side in (wire, stranger):
        side.socket.close()


def test_one_poll_takes_no_more_than_64_datagrams():
    socket = EndpointSocket(0, "127.0.0.1")
    heard = []

    class Counter:
        def receive(self, datagram: bytes, now: float) -> bytes | None:
            heard.append(datagram)
            return None

    wire = Wire(("127.0.0.1", socket.port))
    for i in range(100):
        wire.socket.send(bytes([i]))
    socket.poll(Counter(), 0.0)
    assert heard == [bytes([i]) for i in range(64)]
    socket.poll(Counter(), 0.0)
    assert len(heard) == 100
    wire.socket.close()
    socket.close()


def test_an_answer_that_cannot_be_sent_is_no_error():
    """An answer too large for a datagram stands for every reason that a send can fail for."""
    socket = EndpointSocket(0, "127.0.0.1")
    wire = Wire(("127.0.0.1", socket.port))
    heard = []

    class Loud:
        def receive(self, datagram: bytes, now: float) -> bytes | None:
            heard.append(datagram)
            return bytes(100_000)

    for i in range(3):
        wire.socket.send(bytes([i]))
    socket.poll(Loud(), 0.0)
    assert len(heard) == 3
    wire.socket.close()
    socket.close()


def test_leaving_says_stop_until_the_guard_has_heard_it(tmp_path):
    key = tmp_path / "key"
    make_key(key)
    stops = RemoteStops("gate", key, 0)
    endpoint = Endpoint("gate", read_key(key))
    wire = Wire(("127.0.0.1", stops.socket.port))
    reports, ticks = [], itertools.count()

    def guard():
        reports.append(stops.report(next(ticks) * TICK))

    exchange([guard, lambda: wire.exchange(endpoint)], lambda: reports[-1] == EndpointReport())
    done = threading.Event()
    serving = threading.Thread(target=lambda: [(guard(), done.wait(TICK)) for _ in iter(done.is_set, True)])
    serving.start()
    assert leave(endpoint, wire)
    done.set()
    serving.join()
    assert reports[-1].pressed
    stops.close()
    assert not leave(Endpoint("gate", read_key(key)), wire), "nobody is there to hear it"
    wire.socket.close()

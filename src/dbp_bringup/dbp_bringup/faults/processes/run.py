"""`./dbp faults --processes`: the whole campaign behind a progress bar."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dbp_bringup.faults.processes.campaign import HOGS, Campaign, Result
from dbp_bringup.faults.processes.others import OTHERS
from dbp_bringup.faults.processes.plan import disk_full_faults, process_faults
from dbp_bringup.faults.processes.report import report
from dbp_bringup.faults.processes.restarts import Restart, restarts
from dbp_policy.errors import DbpError

RESTARTS = 50
_PRIORITY = 30
"""So that a signal goes out when its time is noted; below the policy node, and children do not inherit it."""


def run(console: Console, scale: float = 1.0) -> dict:
    """Injects everything, each kind in proportion to `scale`; the report.

    Raises:
        DbpError: The stack does not start.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begin = time.monotonic()
    kinds = [kind for kind in process_faults(scale) for _ in range(kind.count)]
    random.Random(0).shuffle(kinds)  # so that none is measured in one stretch of the machine's time
    others = [inject for kind, inject in OTHERS for _ in range(max(1, round(scale * kind.count)))]
    blind = [kind for kind in disk_full_faults(scale) for _ in range(kind.count)]
    restarted = max(2, round(scale * RESTARTS))
    results: list[Result] = []
    done: list[Restart] = []
    not_measured: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress, _prompt():
        bar = progress.add_task("starting", total=len(kinds) + len(others) + len(blind) + restarted)

        def inject(what: str, campaign: Campaign, work: Callable[[Campaign], Result]) -> None:
            progress.update(bar, description=what)
            try:
                results.append(campaign.patiently(what, work))
            except DbpError as error:  # what was measured until then is not lost
                not_measured.append(f"{what}: {error}")
            progress.advance(bar)

        with Campaign() as campaign:
            for kind in kinds:
                inject(kind.key, campaign, lambda c, kind=kind: c.run(kind))
            for work in others:
                inject("others on the wire", campaign, work)
            progress.update(bar, description="guard restarts")
            try:
                for restart in restarts(campaign, restarted):
                    done.append(restart)
                    progress.advance(bar)
            except DbpError as error:
                not_measured.append(f"guard restarts after {len(done)} of {restarted}: {error}")
        with Campaign(seed=1, disk_full=True) as full:
            for kind in blind:
                inject(kind.key, full, lambda c, kind=kind: c.run(kind))
    order = [kind.key for kind in (*process_faults(), *(kind for kind, _ in OTHERS), *disk_full_faults())]
    results.sort(key=lambda r: order.index(r.key))
    seconds = time.monotonic() - begin
    return report(results, done, (campaign, full), seconds, f"{HOGS} busy processes", not_measured)


@contextlib.contextmanager
def _prompt() -> Iterator[None]:
    """This process, with a priority if it is permitted one."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, *before)

"""`./dbp torchrun`: PyTorch's own launcher, without its reports: its processes say themselves what is wrong."""

from __future__ import annotations

import logging
import os
import sys

from dbp_policy.errors import run_main


def launch() -> int:
    """Runs torchrun with the command line; the exit code of the first process that failed, 130 after Ctrl-C."""
    from torch.distributed.elastic.multiprocessing.api import SignalException  # slow to import
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    logging.disable(logging.ERROR)  # which processes it has ended
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as it would itself, with a notice
    try:
        main()
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return 128 - code if code < 0 else code  # ended by a signal: as a shell has it
    except SignalException as stop:
        return 128 + stop.sigval
    return 0


def main() -> int:
    """Console entry point."""
    return run_main(launch)


if __name__ == "__main__":
    sys.exit(main())

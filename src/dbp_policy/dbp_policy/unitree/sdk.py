"""The one place that knows the faults of the unitree-sdk2 1.0.1 wheel, and which CycloneDDS a robot can live with.

What is wrong with the wheel, and what is done about it:
    - `import unitree_sdk2py` imports a sub-package `b2` that was not packed: an empty one takes its place.
    - `utils.crc.CRC` loads shared libraries that were not packed: `crc()` gives one that computes in Python.
    - That CRC code takes temperatures and fan speeds of a lowstate for signed, and raises struct.error beyond 127 °C.
    - Channels opened on a named interface trace into /tmp/cdds.LOG, which breaks the next user of the machine; readers
      are listeners that take the GIL on DDS's threads and drop new samples when their queue is full; the domain is a
      singleton; `RecurrentThread` swallows every exception. None of these is used: see `channels`.
    - It pins opencv, so it is installed without its dependencies.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import types

from dbp_policy.errors import DbpError

_PACKAGE = "unitree_sdk2py"


def module(name: str) -> types.ModuleType:
    """Imports a module of the SDK, for example `module("core.channel")`.

    Raises:
        DbpError: The SDK or CycloneDDS cannot be imported.
    """
    sys.modules.setdefault(f"{_PACKAGE}.b2", types.ModuleType(f"{_PACKAGE}.b2"))
    try:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    except ImportError as error:
        raise DbpError(f"expected unitree-sdk2 with CycloneDDS to be installed, got: {error}") from error


def go_types() -> types.ModuleType:
    """The messages of `unitree_go`: LowState_, LowCmd_ and their parts."""
    return module("idl.unitree_go.msg.dds_")


def api_types() -> types.ModuleType:
    """The messages of `unitree_api`: Request_, Response_ and their parts."""
    return module("idl.unitree_api.msg.dds_")


def crc():
    """The SDK's own checksum object, `crc().Crc(message)`; in Python where its shared library is missing."""
    sdk_class = module("utils.crc").CRC
    checksum = object.__new__(sdk_class)
    try:
        checksum.__init__()
    except OSError:
        checksum.platform = "without the shared library"  # any name but "Linux" selects the SDK's Python code
    return checksum


def dds_version() -> str:
    """Version of the installed CycloneDDS Python package.

    Raises:
        DbpError: It is not installed.
    """
    try:
        return importlib.metadata.version("cyclonedds")
    except importlib.metadata.PackageNotFoundError:
        raise DbpError("expected the Python package cyclonedds 0.10.2, got none") from None


def dds_is_robot_compatible(version: str | None = None) -> bool:
    """Whether this CycloneDDS may appear on a robot's network: only 0.10.x, which the robot itself runs.

    A participant of version 11 makes every 0.10.x participant on its network fail with a segmentation fault
    (measured with 11.0.1 and 0.10.2 and these message types).
    """
    return (version or dds_version()).split(".")[:2] == ["0", "10"]

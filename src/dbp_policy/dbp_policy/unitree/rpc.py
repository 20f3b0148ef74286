"""Unitree's request and response services over raw channels, both sides, by polling.

A service owns the topics `rt/api/<service>/request` and `/response`; a response carries its request's id. Same messages
as the SDK's rpc package, without its singleton and its threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbp_policy.unitree import sdk

if TYPE_CHECKING:
    from dbp_policy.unitree.channels import Participant

API_VERSION = 1
"""Every service answers this api id with its version."""

OK = 0
ERROR_NOT_IMPLEMENTED = 3203
ERROR_PARAMETER = 3204
"""Codes of a response's status (unitree_sdk2_python, unitree_sdk2py/rpc/internal.py)."""


@dataclass(frozen=True)
class Answer:
    """A service's answer to one request."""

    request_id: int
    api_id: int
    code: int
    data: str


class RpcClient:
    """Asks a service. Requests sent before the service is discovered are lost: ask again.

    Args:
        participant: Where to ask.
        service: Name of the service, such as "motion_switcher".
    """

    def __init__(self, participant: Participant, service: str) -> None:
        self._types = sdk.api_types()
        self._requests = participant.writer(f"rt/api/{service}/request")
        self._responses = participant.reader(f"rt/api/{service}/response")
        self._first_id = self._next_id = time.monotonic_ns()  # clients of a service hear each other's answers

    @property
    def connected(self) -> bool:
        """A service is there, in both directions."""
        return self._requests.matched > 0 and self._responses.matched > 0

    def send(self, api_id: int, parameter: dict, *, reply: bool = True) -> int:
        """Sends a request and returns its id."""
        request_id = self._next_id
        self._next_id += 1
        header = self._types.RequestHeader_(
            self._types.RequestIdentity_(request_id, api_id),
            self._types.RequestLease_(0),
            self._types.RequestPolicy_(0, not reply),
        )
        self._requests.write(_padded(self._types.Request_(header, json.dumps(parameter), []).serialize()))
        return request_id

    def poll(self) -> list[Answer]:
        """Answers to this client's own requests that came since the last call."""
        answers = []
        for payload in self._responses.take():
            response = _read(self._types.Response_, payload)
            if response is None:
                continue
            identity = response.header.identity
            if self._first_id <= identity.id < self._next_id:
                answers.append(Answer(identity.id, identity.api_id, response.header.status.code, response.data))
        return answers


class RpcServer:
    """Answers a service's requests.

    Args:
        participant: Where to answer.
        service: Name of the service.
        version: What it says its version is.
        handle: Takes an api id and the request's JSON text, gives back a code and the answer's JSON text.
    """

    def __init__(
        self, participant: Participant, service: str, version: str, handle: Callable[[int, str], tuple[int, str]]
    ) -> None:
        self._types = sdk.api_types()
        self._requests = participant.reader(f"rt/api/{service}/request")
        self._responses = participant.writer(f"rt/api/{service}/response")
        self._version = version
        self._handle = handle

    def poll(self) -> int:
        """Answers what has arrived and returns how many requests that was."""
        payloads = self._requests.take()
        for payload in payloads:
            request = _read(self._types.Request_, payload)
            if request is None:
                continue
            identity = request.header.identity
            if identity.api_id == API_VERSION:
                code, data = OK, self._version
            else:
                code, data = self._handle(identity.api_id, request.parameter)
            if not request.header.policy.noreply:
                header = self._types.ResponseHeader_(identity, self._types.ResponseStatus_(code))
                self._responses.write(_padded(self._types.Response_(header, data, []).serialize()))
        return len(payloads)


def _read(message_type: type, payload: bytes):
    """A message, or None: what a stranger sends to a service must not end the process that listens."""
    try:
        return message_type.deserialize(payload)
    except Exception:  # CycloneDDS has no exception of its own for a payload that it cannot read
        return None


def _padded(cdr: bytes) -> bytes:
    """DDS takes payloads of whole 32-bit words."""
    return cdr + bytes(-len(cdr) % 4)

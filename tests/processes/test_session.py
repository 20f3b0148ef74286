"""A ROS client of a stack whose node does not answer."""

from __future__ import annotations

from collections.abc import Iterator

import domains
import pytest
import rclpy
from std_srvs.srv import Trigger

from dbp_bringup import session as module
from dbp_bringup.session import Session
from dbp_policy.errors import DbpError


@pytest.fixture
def session(monkeypatch) -> Iterator[Session]:
    """Beside a node that has the service `start` and never looks at it."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domains.fresh()))
    monkeypatch.setattr(module, "SERVICE_TIMEOUT", 2.0)
    with Session() as session:
        hung = rclpy.create_node("hung", context=session._context)
        hung.create_service(Trigger, "start", lambda _, answer: answer)
        yield session
        hung.destroy_node()


@pytest.mark.parametrize("service, missed", [("nobody_has_it", "the service"), ("start", "an answer of")])
def test_a_request_that_nobody_answered_is_taken_back(session, service, missed):
    """ROS would deliver it as soon as it can, and whoever asked expects it no more."""
    with pytest.raises(DbpError, match=f"expected {missed} {service} within 2 s"):
        session.ask(service)
    assert not list(session._node.clients)


def test_who_waits_can_give_up(session):
    looks = iter([False, False, True])
    with pytest.raises(DbpError, match="did not wait for (the service|an answer of) start"):
        session.ask("start", lambda: next(looks))
    assert not list(session._node.clients)

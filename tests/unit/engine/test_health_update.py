"""What ``update --health-*`` makes of a configuration, and what a check means."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.engine.health_update import health_changes
from wherry.errors import InvalidArgument
from wherry.model.container import ContainerConfig
from wherry.model.health import HealthConfig
from wherry.spec.container_spec import ContainerSpec

SECOND = 10**9
CHECK = HealthConfig(test=["CMD", "x"], interval=5 * SECOND, timeout=6 * SECOND, retries=7)


def changes(config: ContainerConfig, **asked: Any) -> dict[str, Any]:
    return health_changes(config, ContainerSpec(**asked))


def test_only_what_is_given_changes() -> None:
    found = changes(ContainerConfig(health_check=CHECK), health_retries=2)
    assert found == {"health_check": CHECK.replace(retries=2)}


def test_a_first_check_has_the_usual_times() -> None:
    found = changes(ContainerConfig(), health_command=["CMD", "y"], health_on_failure="kill")
    assert found == {
        "health_check": HealthConfig(test=["CMD", "y"], interval=30 * SECOND, timeout=30 * SECOND, retries=3),
        "health_check_on_failure": "kill",
    }
    found = changes(ContainerConfig(health_check=CHECK), startup_command=["CMD", "y"])
    assert found["startup_health_check"].retries == 0


def test_no_timer() -> None:
    found = changes(ContainerConfig(health_check=CHECK), health_interval=-SECOND)
    assert found["health_check"].interval == 0


def test_none_at_all() -> None:
    found = changes(ContainerConfig(health_check=CHECK), health_disabled=True)
    assert found == {"health_check": HealthConfig(test=["NONE"]), "startup_health_check": None}
    again = changes(ContainerConfig(health_check=HealthConfig(test=["NONE"])), health_command=["CMD", "y"])
    assert again["health_check"].interval == 30 * SECOND


@pytest.mark.parametrize(
    ("config", "asked", "words"),
    [
        (ContainerConfig(), {"health_interval": 1}, "^healthcheck command is not set$"),
        (ContainerConfig(health_check=CHECK), {"startup_retries": 1}, "^startup healthcheck command is not set$"),
        (ContainerConfig(), {"startup_command": ["CMD", "x"]}, "startup healthcheck when there is no regular"),
        (ContainerConfig(), {"health_on_failure": "stop"}, "^cannot set on-failure action to stop without a health"),
        (ContainerConfig(health_check=CHECK), {"health_retries": 0}, "healthcheck-retries must be greater than 0"),
        (ContainerConfig(health_check=CHECK), {"health_disabled": True, "health_retries": 1}, "other HealthCheck flag"),
        (ContainerConfig(health_check=CHECK), {"health_log_destination": "/nope"}, "'/nope' destination error"),
    ],
)
def test_refusals(config: ContainerConfig, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        changes(config, **asked)


@pytest.mark.parametrize(
    ("test", "command"),
    [
        ([], []), (["NONE"], []), (["none"], []), ([""], []), (["CMD"], []), (["CMD", "a", "b c"], ["a", "b c"]),
        (["CMD-SHELL", "a b"], ["/bin/sh", "-c", "a b"]), (["CMD-SHELL", "a", "b"], ["/bin/sh", "-c", "a b"]),
        (["CMD-SHELL"], []), (["/bin/check", "x"], ["/bin/check", "x"]),
    ],
)
def test_what_a_check_runs(test: list[str], command: list[str]) -> None:
    check = HealthConfig(test=test)
    assert check.command == command
    assert check.active == (test not in ([], ["NONE"], ["none"], [""]))

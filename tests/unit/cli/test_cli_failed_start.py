"""How ``run`` ends when the container it made cannot be started."""

from __future__ import annotations

import pytest

from wherry.cli.containers_create import _failed_start
from wherry.errors import (
    Cancelled,
    InvalidArgument,
    NoSuchNetwork,
    RuntimeCommandNotFound,
    RuntimeFailed,
    Unavailable,
    WherryError,
)


@pytest.mark.parametrize(("error", "code"), [
    (InvalidArgument("requested static ip 10.60.0.1 not in any subnet on network a"), 126),
    (RuntimeFailed("cannot listen on the TCP port: listen tcp4 :80: bind: address already in use"), 126),
    (NoSuchNetwork("unable to find network with name or ID a"), 127),
    (Unavailable("failed to create new hosts file: open /nope: no such file or directory"), 127),
    (RuntimeCommandNotFound("crun"), 127),
    (Cancelled("interrupted"), 130),
])
def test_exit_codes(error: WherryError, code: int) -> None:
    assert _failed_start(error) is error
    assert error.exit_code == code

"""An image with a whole Debian in it, systemd among it; loaded once in a session, which takes a while."""

from __future__ import annotations

from tests.vm import recipe
from tests.vm.machine import Machine

DEBIAN = "localhost/test/debian:latest"


def load(machine: Machine) -> str:
    """The image's reference."""
    if machine.run(f"wherry image exists {DEBIAN}", check=False).code:
        machine.run(f"wherry import -q {recipe.SYSTEM_TAR} {DEBIAN}", timeout=600)
    return DEBIAN

"""pull from archives, layouts and directories: the names Podman gives, its errors, and platforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import busybox_image, write_docker_archive
from tests.helpers.podman import Tools

pytestmark = pytest.mark.system


@pytest.fixture
def places(tools: Tools, tmp_path: Path) -> list[str]:
    """Locations, each of the same image."""
    base = tools.base
    archive = f"docker-archive:{write_docker_archive(f'{base}/b.tar', [(busybox_image(), ['localhost/busybox:1'])])}"
    made = [f"oci:{base}/lay:named:1", f"oci:{base}/lay2", f"oci-archive:{base}/named.tar:foo.example/x:2",
            f"oci-archive:{base}/plain.tar", f"dir:{base}/plain", f"dir:{base}/Upper"]
    for place in made:
        tools.skopeo("copy", "-q", archive, place)
    return [
        *made, f"oci:{base}/lay", f"oci-archive:{base}/named.tar", archive, archive + ":localhost/busybox:1",
        archive + ":@0", f"oci:{base}/lay:nope", archive + ":localhost/busybox:2", f"oci:{base}/nope", "dir:/nope",
    ]


def test_names_and_errors_are_podmans(tools: Tools, wherry: Any, places: list[str]) -> None:
    def outcome(engine: str, place: str) -> tuple[str, str]:
        run = tools.podman if engine == "podman" else wherry.ok
        try:
            said = str(run("pull", "-q", place))
        except AssertionError as error:
            (said,) = [line for line in str(error).replace("\\n", "\n").splitlines() if "Error: " in line][-1:]
            return said.partition("Error: ")[2].rstrip("\\n\"')"), ""
        names = str(run("images", "-a", "--format", "{{.Repository}}:{{.Tag}}"))
        tools.podman("rmi", "-a", "-f")
        return said, names

    for place in places:
        assert outcome("wherry", place) == outcome("podman", place), place


def test_run_from_a_layout_and_foreign_transports(tools: Tools, wherry: Any, places: list[str]) -> None:
    wherry.ok("create", "--network", "none", places[1], "true")
    assert wherry.ok("images", "--format", "{{.Repository}}") == f"localhost{tools.base}/lay2"
    assert "is not supported" in wherry.fails("pull", "-q", "docker-daemon:x:y")
    assert "does not resolve to an image ID" in wherry.fails("pull", "-q", "containers-storage:nope")
    assert wherry.ok("pull", "-q", f"containers-storage:localhost{tools.base}/lay2")
    wherry.ok("rm", "-a")


def test_a_stored_image_of_another_platform_is_not_the_one_asked_for(
    tools: Tools, wherry: Any, loaded: str, registry: Any, tmp_path: Path
) -> None:
    wherry.ok("rmi", loaded)
    for architecture in ("amd64", "arm64"):
        image = busybox_image(architecture=architecture)
        archive = write_docker_archive(str(tmp_path / "a.tar"), [(image, [f"localhost/{architecture}:1"])])
        wherry.ok("load", "-q", "-i", archive)
    wherry.ok("manifest", "create", "localhost/both:1", "localhost/amd64:1", "localhost/arm64:1")
    name = f"{registry.host}/both:1"
    plain = "--tls-verify=false"
    wherry.ok("manifest", "push", "-q", plain, "localhost/both:1", name)
    wherry.ok("rmi", "-a", "-f")
    ours = wherry.ok("pull", "-q", plain, name)
    assert wherry.ok("pull", "-q", plain, "--policy", "missing", name) == ours
    other = wherry.ok("pull", "-q", plain, "--policy", "missing", "--platform", "linux/arm64", name)
    assert wherry.ok("image", "inspect", "--format", "{{.Architecture}}", other) == "arm64" and other != ours
    assert "image not known" in wherry.fails("pull", "-q", "--policy", "never", "--arch", "amd64", name)
    said = wherry.fails("pull", "-q", plain, "--arch", "s390x", name)
    theirs = tools.podman("pull", "-q", plain, "--arch", "s390x", name, fails=True)
    assert said.partition(" for ")[0] == theirs.partition(" for ")[0]

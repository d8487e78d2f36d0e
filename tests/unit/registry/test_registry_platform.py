"""Platform names and the choice from a list."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from wherry.errors import NotFound
from wherry.registry import mediatypes, platform
from wherry.registry.manifests import Descriptor, ManifestList
from wherry.registry.platform import Platform, choose, host_platform, parse


def on(machine: str, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setattr(platform.os, "uname", lambda: SimpleNamespace(machine=machine, sysname="Linux"))
    return host_platform()


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("i686", "linux/386"),
        ("aarch64", "linux/arm64/v8"),
        ("armv8l", "linux/arm/v8"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("armv5tel", "linux/arm/v5"),
        ("ppc64le", "linux/ppc64le"),
        ("s390x", "linux/s390x"),
        ("riscv64", "linux/riscv64"),
        ("loongarch64", "linux/loong64"),
    ],
)
def test_uname(machine: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(on(machine, monkeypatch)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/i386", "linux/386"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("macos/arm64", "darwin/arm64"),
        ("windows", "windows/arm64/v8"),
        ("linux/vax", "linux/vax"),
    ],
)
def test_spellings(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on("aarch64", monkeypatch)
    assert str(parse(text)) == expected


def test_override_keeps_what_is_not_given() -> None:
    host = Platform(os="linux", architecture="arm", variant="v7")
    assert host.override() == host
    assert str(host.override(variant="v6")) == "linux/arm/v6"
    assert str(host.override(os="freebsd")) == "freebsd/arm/v7"
    assert str(host.override(architecture="amd64")) == "linux/amd64"


def listed(*platforms: str, docker: bool = False, **annotations: dict[str, str]) -> ManifestList:
    entries: list[Any] = []
    for text in platforms:
        parts = [*text.split("/"), "", ""]
        known = Platform(os=parts[0], architecture=parts[1], variant=parts[2]) if text != "none" else None
        number = len(entries)
        entries.append(Descriptor(
            digest=f"{number}", platform=known, annotations=annotations.get(f"entry{number}", {})
        ))
    return ManifestList(media_type=mediatypes.DOCKER_LIST if docker else mediatypes.OCI_INDEX, entries=entries)


@pytest.mark.parametrize("docker", [False, True])
@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/386", "linux/amd64", "linux/amd64"], 1),
        ("linux/amd64", ["windows/amd64", "linux/amd64/v2", "linux/amd64"], 2),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v3"], 1),
        ("linux/amd64/v3", ["linux/amd64/v2", "linux/amd64"], 1),
        ("linux/arm64/v8", ["linux/arm64", "linux/arm64/v8"], 1),
        ("linux/arm64/v8", ["linux/arm/v7", "linux/arm64"], 1),
        ("linux/arm64", ["linux/arm64/v8"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], 1),
        ("linux/arm/v7", ["linux/arm"], 0),
        ("linux/arm", ["linux/arm/v5", "linux/arm/v8"], 1),
        ("linux/arm/v7", ["linux/arm", "linux/arm/v5"], 1),
    ],
)
def test_choice(docker: bool, wanted: str, offered: list[str], chosen: int) -> None:
    parts = [*wanted.split("/"), ""]
    platform_wanted = Platform(os=parts[0], architecture=parts[1], variant=parts[2])
    assert choose(listed(*offered, docker=docker), platform_wanted).digest == str(chosen)


@pytest.mark.parametrize(
    ("wanted", "offered", "docker", "message"),
    [
        (
            Platform(os="linux", architecture="amd64"), ["linux/arm64"], False,
            'no image found in image index for architecture "amd64", variant "", OS "linux"',
        ),
        (
            Platform(os="linux", architecture="arm", variant="v6"), ["linux/arm/v7"], True,
            'no image found in manifest list for architecture "arm", variant "v6", OS "linux"',
        ),
        (
            Platform(os="linux", architecture="amd64"), [], False,
            'no image found in image index for architecture "amd64", variant "", OS "linux"',
        ),
        (
            Platform(os="linux", architecture="amd64"), ["none"], True,
            'no image found in manifest list for architecture "amd64", variant "", OS "linux"',
        ),
    ],
)
def test_no_choice(wanted: Platform, offered: list[str], docker: bool, message: str) -> None:
    with pytest.raises(NotFound) as caught:
        choose(listed(*offered, docker=docker), wanted)
    assert str(caught.value) == message


def test_entries_without_a_platform_come_last() -> None:
    amd64 = Platform(os="linux", architecture="amd64")
    assert choose(listed("none", "linux/amd64"), amd64).digest == "1"
    assert choose(listed("linux/s390x", "none"), amd64).digest == "1"


def test_zstd_is_preferred_among_equals() -> None:
    amd64 = Platform(os="linux", architecture="amd64")
    zstd = {"io.github.containers.compression.zstd": "true"}
    assert choose(listed("linux/amd64", "linux/amd64", entry1=zstd), amd64).digest == "1"
    assert choose(listed("linux/amd64", "linux/s390x", entry1=zstd), amd64).digest == "0"

"""Image locations as typed, and names for stores."""

from __future__ import annotations

import pytest

from wherry.errors import InvalidArgument, Unsupported
from wherry.model.reference import Reference
from wherry.registry.names import local_name, valid_local_names
from wherry.registry.transports import Location, parse, transport_of

DIGEST = "sha256:" + "a" * 64
BUSYBOX = Reference(domain="docker.io", path="library/busybox", tag="latest")


@pytest.mark.parametrize(
    ("text", "expected", "again"),
    [
        ("docker://busybox", Location(transport="docker", reference=BUSYBOX), "docker://docker.io/library/busybox:latest"),
        (
            f"docker://quay.io/a/b@{DIGEST}",
            Location(transport="docker", reference=Reference(domain="quay.io", path="a/b", digest=DIGEST)), "",
        ),
        ("oci:/tmp/x", Location(transport="oci", path="/tmp/x"), "oci:/tmp/x:"),
        ("oci:x:quay.io/a/b:1", Location(transport="oci", path="x", image="quay.io/a/b:1"), ""),
        ("oci:x:@3", Location(transport="oci", path="x", index=3), ""),
        ("oci-archive:x.tar:a--b@c+d", Location(transport="oci-archive", path="x.tar", image="a--b@c+d"), ""),
        ("docker-archive:x.tar", Location(transport="docker-archive", path="x.tar"), ""),
        ("docker-archive:x.tar:@0", Location(transport="docker-archive", path="x.tar", index=0), ""),
        (
            "docker-archive:x.tar:busybox",
            Location(transport="docker-archive", path="x.tar", reference=BUSYBOX),
            "docker-archive:x.tar:docker.io/library/busybox:latest",
        ),
        ("dir:/tmp/with:colon", Location(transport="dir", path="/tmp/with:colon"), ""),
        ("containers-storage:[vfs@/x]a:b", Location(transport="containers-storage", image="[vfs@/x]a:b"), ""),
    ],
)
def test_locations(text: str, expected: Location, again: str) -> None:
    location = parse(text)
    assert location == expected
    assert str(location) == (again or text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xyzzy:foo", 'Invalid image name "xyzzy:foo", unknown transport "xyzzy"'),
        ("xyzzy", 'Invalid image name "xyzzy", expected colon-separated transport:reference'),
        ("", 'Invalid image name "", expected colon-separated transport:reference'),
        ("docker:busybox", "docker: image reference busybox does not start with //"),
        (
            f"docker://busybox:1@{DIGEST}",
            "Docker references with both a tag and digest are currently not supported",
        ),
        ("docker://a.io/B", "invalid reference format: repository name must be lowercase: 'a.io/B'"),
        ("oci:x:a b", "Invalid image a b"),
        ("oci:x:-a", "Invalid image -a"),
        ("oci:x:a-_b", "Invalid image a-_b"),
        ("oci:x:@x", "Invalid source index @x"),
        ("oci:x:@-1", "Invalid source index @-1"),
        ("oci:x:@" + "9" * 30, "Invalid source index @" + "9" * 30),
        ("docker-archive:", "docker-archive reference  isn't of the form <path>[:<reference>]"),
        (
            f"docker-archive:x:busybox@{DIGEST}",
            f"docker-archive doesn't support digest references: docker.io/library/busybox@{DIGEST}",
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert str(caught.value) == message


def test_transports_of_others() -> None:
    with pytest.raises(Unsupported, match='transport "docker-daemon" is not supported'):
        parse("docker-daemon:busybox:latest")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpine:3.22", ""), ("alpine", ""), ("oci:x", "oci"), ("docker://x", "docker"), ("docker:latest", "docker"),
        ("docker-daemon:x", "docker-daemon"), ("localhost:5000/x", ""), ("dir:", "dir"),
    ],
)
def test_transport_of(text: str, expected: str) -> None:
    assert transport_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", "localhost/busybox:latest"),
        ("busybox:1", "localhost/busybox:1"),
        ("a/b", "localhost/a/b:latest"),
        ("docker.io/zz", "docker.io/library/zz:latest"),
        ("quay.io/x/y:3", "quay.io/x/y:3"),
        (f"quay.io/x/y:3@{DIGEST}", f"quay.io/x/y@{DIGEST}"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"),
    ],
)
def test_local_names(text: str, expected: str) -> None:
    assert local_name(text) == expected


def test_names_that_are_none() -> None:
    assert valid_local_names(["", "v1", "Not A Name", "v1+build"]) == ["localhost/v1:latest"]

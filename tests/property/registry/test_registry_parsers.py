"""Whatever registries, archives and people write: parsed to what was meant, or refused; never a crash."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wherry.config.settings import EngineSettings, Settings
from wherry.errors import InvalidArgument, NotFound, WherryError
from wherry.registry import manifests, mediatypes, trees
from wherry.registry.archives import open_archive
from wherry.registry.auth import parse_challenges
from wherry.registry.failures import from_response, parse_retry_after
from wherry.registry.manifests import Descriptor, ManifestList
from wherry.registry.platform import Platform, choose
from wherry.registry.proxies import Proxies
from wherry.registry.streams import Verified
from wherry.registry.transports import parse
from wherry.registry.verify import Verifier, digest_of

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._~", min_size=1, max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(st.tuples(TOKEN, st.dictionaries(TOKEN, st.text(st.characters(exclude_categories=["Cs"])), max_size=4)),
             max_size=4),
    st.booleans(),
    st.sampled_from([",", ", ", " , ", ",,"]),
)
def test_challenges_round_trip(wanted: list[tuple[str, dict[str, str]]], together: bool, comma: str) -> None:
    headers = [
        f"{scheme} " + comma.join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in wanted
    ]
    found = parse_challenges([comma.join(headers)] if together else headers)
    assert [(one.scheme, dict(one.parameters)) for one in found] == wanted


@given(st.lists(st.text()))
@example(["\\", '"\\', "=", "a==", 'a="'])
def test_challenges_never_crash(headers: list[str]) -> None:
    parse_challenges(headers)


@given(st.integers(100, 999), st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_an_error_message(status: int, body: bytes) -> None:
    assert str(from_response(status, {}, body))


@given(st.fixed_dictionaries({"errors": st.lists(st.fixed_dictionaries(
    {"code": ANYTHING, "message": ANYTHING, "detail": ANYTHING}) | ANYTHING)}))
def test_any_error_document(document: Any) -> None:
    assert str(from_response(404, {}, json.dumps(document).encode()))


@given(st.text())
def test_retry_after_never_crashes(header: str) -> None:
    assert parse_retry_after(header) >= -1


@given(st.text(), st.text("abc.*:[]/0123456789"), st.integers(0, 65535))
def test_no_proxy_never_crashes(none: str, host: str, port: int) -> None:
    assert Proxies(https="p", none=none).choose("https", host, port) in ("", "http://p")


@given(ANYTHING, st.sampled_from([*mediatypes.ACCEPTED, "", "text/html"]))
def test_any_json_as_manifest(document: Any, content_type: str) -> None:
    try:
        manifests.parse(json.dumps(document).encode(), content_type)
    except WherryError:
        pass


KEYS = st.sampled_from(["mediaType", "digest", "size", "urls", "annotations", "platform", "config", "layers",
                        "manifests", "schemaVersion", "rootfs", "diff_ids", "os", "architecture"])
VALUES = st.sampled_from([*mediatypes.ACCEPTED, "sha256:" + "0" * 64, "linux", 1, 2, -1, None, True])
MANIFEST_LIKE = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)


@given(st.dictionaries(KEYS, MANIFEST_LIKE))
def test_manifest_like_json(document: Any) -> None:
    data = json.dumps(document).encode()
    for attempt in (lambda: manifests.parse(data), lambda: manifests.diff_ids(data, 2)):
        try:
            attempt()
        except WherryError:
            pass


@given(st.text(max_size=40) | st.tuples(
    st.sampled_from(["docker://", "oci:", "oci-archive:", "docker-archive:", "dir:", "containers-storage:"]),
    st.text("abc:/@.-_019", max_size=20),
).map("".join))
def test_locations_print_as_they_parse(text: str) -> None:
    try:
        location = parse(text)
    except WherryError:
        return
    assert parse(str(location)) == location


PLATFORMS = st.builds(
    Platform,
    os=st.sampled_from(["linux", "windows"]),
    architecture=st.sampled_from(["amd64", "arm", "arm64"]),
    variant=st.sampled_from(["", "v5", "v6", "v7", "v8", "v2"]),
)


@given(st.lists(PLATFORMS, max_size=6), PLATFORMS, st.sampled_from(mediatypes.LISTS))
def test_choice_is_the_best_candidate(offered: list[Platform], wanted: Platform, media_type: str) -> None:
    images = ManifestList(media_type=media_type, entries=[
        Descriptor(digest=str(number), platform=platform) for number, platform in enumerate(offered)
    ])
    candidates = wanted.candidates()
    expected = [str(offered.index(one)) for one in candidates if one in offered]
    if not expected:
        with pytest.raises(NotFound):
            choose(images, wanted)
    else:
        assert choose(images, wanted).digest == expected[0]


@given(st.binary(max_size=500), st.sampled_from(["sha256", "sha384", "sha512"]), st.lists(st.integers(1, 50)))
def test_verified_streams(data: bytes, algorithm: str, reads: list[int]) -> None:
    stream = Verified(io.BytesIO(data), digest_of(data, algorithm), len(data))
    out = b"".join(stream.read(size) for size in reads)
    assert out + stream.read() == data


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_other_bytes_are_noticed(data: bytes, other: bytes) -> None:
    verifier = Verifier(digest_of(data), len(data))
    try:
        verifier.update(other)
        verifier.finish()
    except WherryError:
        assert other != data
    else:
        assert other == data


LISTING = b'[{"Config": "c", "RepoTags": ["a:1"], "Layers": []}]'


def archive(names: list[str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            data = LISTING if name == "manifest.json" else b'{"rootfs":{}}'
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


GOOD = archive(["c", "manifest.json", "layer/../x", "index.json"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=12), st.integers(0, len(GOOD)))
def test_damaged_archives(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GOOD)
    for position, value in changes:
        data[position] = value
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a")
        with open(path, "wb") as file:
            file.write(data[:cut])
        try:
            for source in open_archive(path, Settings(engine=EngineSettings(image_copy_tmp_dir=directory))):
                source.close()
        except WherryError:
            pass
        assert os.listdir(directory) == ["a"]


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(
    st.text("ab/.", min_size=1, max_size=6).filter(lambda name: name.strip("./")), st.binary(max_size=3000), max_size=8
), st.integers(1, 4000))
def test_every_member_is_found(files: dict[str, bytes], jump: int) -> None:
    import posixpath

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    expected: dict[str, bytes] = {}
    for name, data in files.items():
        expected.setdefault(posixpath.normpath(name), data)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        patch.setattr(trees, "_JUMP", jump)
        tree = trees.ArchiveTree(io.BytesIO(out.getvalue()), directory)
        for name, data in expected.items():
            assert trees.read_file(tree, name, 10_000) == data
        tree.close()


def test_parser_refuses_what_it_should() -> None:
    """The round trip above would pass if nothing parsed."""
    with pytest.raises(InvalidArgument):
        parse("nothing")
    assert str(parse("oci:x")) == "oci:x:"

"""Reading an image from a registry: platform choice, config, parallel downloads, broken ones, cancellation."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_registry as fake
import pytest
from fake_registry import FakeImage, FakeRegistry, Handler

from wherry.errors import NOT_FOUND, Cancelled, Corrupt, InvalidArgument, NoSpace, RegistryError, Unsupported
from wherry.registry import downloads, retry
from wherry.registry.client import RegistryClient
from wherry.registry.failures import ConnectionFailed, UnknownToRegistry
from wherry.registry.platform import Platform
from wherry.registry.progress import Reporter
from wherry.registry.remote import RegistrySource, read_image
from wherry.registry.retry import RetryPolicy

AMD64 = Platform(os="linux", architecture="amd64")


class Recorder(Reporter):
    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.lock = threading.Lock()

    def start(self, id: str, text: str, total: int) -> None:
        with self.lock:
            self.events.append(("start", id, text, total))

    def update(self, id: str, done: int) -> None:
        with self.lock:
            self.events.append(("update", id, done))

    def finish(self, id: str, text: str) -> None:
        with self.lock:
            self.events.append(("finish", id, text))


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(retry.log, "warning", said.append)
    return said


Opener = Callable[..., RegistrySource]


@pytest.fixture
def open_source(client: RegistryClient, tmp_path: Path) -> Iterator[Opener]:
    opened: list[RegistrySource] = []

    def open_it(
        name: str = "latest", platform: Platform = AMD64, *, workers: int = 2, attempts: int = 2, **options: Any
    ) -> RegistrySource:
        top = client.manifest("team/app", name)
        image = read_image(client, "team/app", top, platform, f"docker://host/team/app:{name}")
        source = RegistrySource(
            client, "team/app", image, reference="host/team/app:latest", spool_parent=str(tmp_path), workers=workers,
            retry=RetryPolicy(attempts=attempts, delay=0.001),
            reporter=options.get("reporter"), is_layer_present=options.get("present"),
        )
        opened.append(source)
        return source

    yield open_it
    for source in opened:
        source.close()
    assert os.listdir(tmp_path) == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("wherry-blob")]


def read(source: RegistrySource, index: int) -> bytes:
    with source.open_layer(index) as stream:
        return stream.read()


def blob_requests(registry: FakeRegistry) -> list[str]:
    return [path.rpartition("/")[2] for path in registry.paths() if "/blobs/" in path]


def replace(registry: FakeRegistry, image: FakeImage, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(image.manifest)
    change(document)
    registry.add_manifest("team/app", "latest", fake.OCI_MANIFEST, json.dumps(document).encode())


class TestDocuments:
    @pytest.mark.parametrize("docker", [False, True])
    def test_single_image(self, registry: FakeRegistry, open_source: Opener, docker: bool) -> None:
        image = FakeImage(3, docker=docker)
        registry.add("team/app", "latest", image)
        source = open_source()
        assert source.reference == "host/team/app:latest"
        assert source.names == ["host/team/app:latest"]
        assert (source.manifest, source.manifest_digest) == (image.manifest, image.digest)
        assert source.manifest_media_type == image.media_type
        assert (source.config, source.config_digest) == (image.config, fake.digest_of(image.config))
        assert source.manifest_list == b""
        assert [(one.digest, one.size, one.media_type, one.diff_id) for one in source.layers] == [
            (digest, len(blob), fake.V2S2_LAYER if docker else fake.OCI_LAYER, diff_id)
            for digest, blob, diff_id in zip(image.digests, image.blobs, image.diff_ids, strict=True)
        ]

    @pytest.mark.parametrize("media_type", [fake.OCI_INDEX, fake.V2_LIST])
    def test_chosen_from_a_list(self, registry: FakeRegistry, open_source: Opener, media_type: str) -> None:
        images = [FakeImage(1, architecture=name, seed=name) for name in ("s390x", "amd64")]
        for image in images:
            registry.add("team/app", image.architecture, image)
        listing = registry.add_list("team/app", "latest", [one.list_entry() for one in images], media_type)
        source = open_source()
        assert source.manifest == images[1].manifest
        assert source.manifest_digest == images[1].digest
        assert source.manifest_list == listing
        assert read(source, 0) == images[1].blobs[0]

    @pytest.mark.parametrize(
        ("media_type", "kind"), [(fake.OCI_INDEX, "image index"), (fake.V2_LIST, "manifest list")]
    )
    def test_nothing_for_the_platform(
        self, registry: FakeRegistry, open_source: Opener, media_type: str, kind: str
    ) -> None:
        registry.add_list("team/app", "latest", [FakeImage(architecture="s390x").list_entry()], media_type)
        with pytest.raises(Exception) as caught:
            open_source(platform=Platform(os="linux", architecture="arm", variant="v6"))
        assert str(caught.value) == (
            "choosing an image from manifest list docker://host/team/app:latest: "
            f'no image found in {kind} for architecture "arm", variant "v6", OS "linux"'
        )
        assert caught.value.kind == NOT_FOUND       # type: ignore[attr-defined]

    def test_listed_but_not_there(self, registry: FakeRegistry, open_source: Opener) -> None:
        image = FakeImage(seed="gone")
        registry.add_list("team/app", "latest", [image.list_entry()])
        with pytest.raises(UnknownToRegistry) as caught:
            open_source()
        assert str(caught.value) == (
            "copying system image from manifest list: determining manifest MIME type for "
            f"docker://host/team/app:latest: reading manifest {image.digest} in {registry.host}/team/app: "
            "manifest unknown"
        )

    def test_list_in_a_list(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        inner = registry.add_list("team/app", "inner", [image.list_entry()])
        entry = {**image.list_entry(), "digest": fake.digest_of(inner), "mediaType": fake.OCI_INDEX}
        registry.add_list("team/app", "latest", [entry])
        with pytest.raises(Corrupt, match="unexpectedly received a manifest list"):
            open_source()

    def test_schema_1(self, registry: FakeRegistry, open_source: Opener) -> None:
        registry.add_manifest("team/app", "latest", fake.V2S1, b'{"schemaVersion": 1, "fsLayers": [], "history": []}')
        with pytest.raises(Unsupported, match="schema 1") as caught:
            open_source()
        assert "push the image again" in caught.value.hint

    @pytest.mark.parametrize("data", [b"junk", b"<html>", b"[]", b"", b"[" * 100_000, b'{"layers": 5}'])
    def test_junk(self, registry: FakeRegistry, open_source: Opener, data: bytes) -> None:
        registry.add_manifest("team/app", "latest", fake.OCI_MANIFEST, data)
        with pytest.raises(Corrupt, match=r"^initializing image from source docker://host/team/app:latest: invalid"):
            open_source()

    def test_artifact(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        replace(registry, image, lambda document: document["config"].update(mediaType="application/x-chart"))
        with pytest.raises(Unsupported) as caught:
            open_source()
        assert str(caught.value) == (
            "parsing image configuration: "
            'unsupported image-specific operation on artifact with type "application/x-chart"'
        )

    def test_config_missing(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        del registry.blobs[fake.digest_of(image.config)]
        with pytest.raises(UnknownToRegistry, match=r"^parsing image configuration: fetching blob: blob unknown"):
            open_source()

    def test_config_that_is_another(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        registry.blobs[fake.digest_of(image.config)] = b"{}"
        with pytest.raises(Corrupt, match=r"^parsing image configuration: digest mismatch, expected"):
            open_source()

    def test_config_too_large(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        registry.blobs[fake.digest_of(image.config)] = b" " * ((4 << 20) + 1)
        with pytest.raises(RegistryError, match="exceeded maximum allowed size of 4194304 bytes"):
            open_source()

    def test_config_for_other_layers(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        replace(registry, image, lambda document: document["layers"].pop())
        with pytest.raises(Corrupt, match="invalid image configuration: 3 diff IDs for 2 layers"):
            open_source()

    def test_config_that_does_not_speak_of_layers(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage
    ) -> None:
        config = b'{"architecture": "amd64", "os": "linux"}'
        registry.blobs[fake.digest_of(config)] = config
        replace(
            registry, image,
            lambda document: document["config"].update(digest=fake.digest_of(config), size=len(config)),
        )
        source = open_source(present=lambda index, diff_ids: pytest.fail("nothing to compare"))
        assert [layer.diff_id for layer in source.layers] == ["", "", ""]
        assert read(source, 2) == image.blobs[2]


class TestDownloads:
    def test_every_layer(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        recorder = Recorder()
        source = open_source(reporter=recorder)
        assert [read(source, index) for index in range(3)] == image.blobs
        source.announce_config()
        for digest, blob in zip(image.digests, image.blobs, strict=True):
            assert [event for event in recorder.events if event[1] == digest] == [
                ("start", digest, "Copying blob", len(blob)), ("update", digest, len(blob)), ("finish", digest, "done"),
            ]
        config = fake.digest_of(image.config)
        assert recorder.events[-2:] == [
            ("start", config, "Copying config", len(image.config)), ("finish", config, "done"),
        ]

    def test_nothing_is_fetched_before_a_layer_is_wanted(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage
    ) -> None:
        source = open_source()
        assert blob_requests(registry) == [fake.digest_of(image.config)]
        source.close()

    def test_present_layers_are_not_fetched(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage
    ) -> None:
        asked: list[tuple[int, list[str]]] = []

        def present(index: int, diff_ids: list[str]) -> bool:
            asked.append((index, list(diff_ids)))
            return index < 2

        recorder = Recorder()
        source = open_source(present=present, reporter=recorder)
        assert read(source, 2) == image.blobs[2]
        source.announce_config()
        assert asked == [(index, image.diff_ids) for index in range(3)]
        assert blob_requests(registry)[1:] == [image.digests[2]]
        assert ("finish", image.digests[0], "skipped: already exists") in recorder.events
        assert ("finish", image.digests[2], "done") in recorder.events

    def test_a_present_layer_can_be_had_all_the_same(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage
    ) -> None:
        source = open_source(present=lambda index, diff_ids: True)
        assert read(source, 1) == image.blobs[1]
        assert blob_requests(registry)[1:] == [image.digests[1]]

    def test_same_layer_twice_is_one_download(self, registry: FakeRegistry, open_source: Opener) -> None:
        image = FakeImage(2)
        image.config = image.config.replace(image.diff_ids[1].encode(), image.diff_ids[0].encode())
        image.document["config"].update(digest=fake.digest_of(image.config), size=len(image.config))
        image.document["layers"][1] = image.document["layers"][0]
        registry.add("team/app", "latest", image)
        source = open_source()
        assert read(source, 0) == read(source, 1) == image.blobs[0]
        assert blob_requests(registry)[1:] == [image.digests[0]]

    def test_many_more_layers_than_workers(self, registry: FakeRegistry, open_source: Opener) -> None:
        image = FakeImage(20, size=50_000)
        registry.add("team/app", "latest", image)
        source = open_source(workers=3)
        assert [read(source, index) for index in reversed(range(20))] == image.blobs[::-1]

    def test_a_layer_can_be_read_while_it_arrives(self, registry: FakeRegistry, open_source: Opener) -> None:
        image = FakeImage(1)
        image.blobs[0] = os.urandom(600_000)
        image.digests[0] = fake.digest_of(image.blobs[0])
        image.document["layers"][0].update(digest=image.digests[0], size=600_000)
        registry.add("team/app", "latest", image)
        go_on = threading.Event()

        def in_two_parts(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "600000")
            handler.end_headers()
            handler.wfile.write(image.blobs[0][:400_000])
            handler.wfile.flush()
            assert go_on.wait(10)
            handler.wfile.write(image.blobs[0][400_000:])

        registry.faults = [(image.digests[0], in_two_parts)]
        stream = open_source().open_layer(0)
        first = stream.read(1 << 20)
        assert 0 < len(first) < 600_000
        go_on.set()
        assert first + stream.read() == image.blobs[0]

    def test_any_digest_algorithm(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        digest = fake.digest_of(image.blobs[0], "sha512")
        registry.blobs[digest] = image.blobs[0]
        replace(registry, image, lambda document: document["layers"][0].update(digest=digest))
        assert read(open_source(), 0) == image.blobs[0]

    def test_readinto_and_closed_streams(self, open_source: Opener, image: FakeImage) -> None:
        stream = open_source().open_layer(0)
        buffer = bytearray(10)
        assert stream.readinto(buffer) == 10
        assert bytes(buffer) == image.blobs[0][:10]
        assert stream.read(0) == b""
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.read(1)


class TestBrokenDownloads:
    @pytest.mark.parametrize("ranges", [True, False])
    def test_a_cut_connection_is_taken_up_again(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage, ranges: bool
    ) -> None:
        registry.ranges = ranges
        registry.faults = [(image.digests[0], fake.truncated(image.blobs[0], 50))]
        assert read(open_source(), 0) == image.blobs[0]
        sent = [headers.get("Range") for _, path, headers, _ in registry.requests if path.endswith(image.digests[0])]
        assert sent == [None, "bytes=50-"]

    def test_server_errors_pass(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage, quiet: list[str]
    ) -> None:
        registry.faults = [
            (image.digests[0], fake.status(500)), (image.digests[0], fake.status(429, Retry_After="0")),
        ]
        assert read(open_source(), 0) == image.blobs[0]
        assert quiet == [
            "Failed, retrying in 0.001s ... (1/2). Error: fetching blob: "
            "received unexpected HTTP status: 500 Internal Server Error",
            'Failed, retrying in 0s ... (2/2). Error: fetching blob: StatusCode: 429, ""',
        ]

    def test_attempts_end(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        registry.faults = [(image.digests[1], fake.truncated(image.blobs[1], 10))] + [
            (image.digests[1], fake.hang_up)
        ] * 2
        with pytest.raises(ConnectionFailed, match=f"^reading blob {image.digests[1]}: Get .*: EOF$"):
            read(open_source(), 1)

    def test_progress_earns_new_attempts(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(downloads, "_PROGRESS", 10)
        blob = image.blobs[0]

        def rest_cut(handler: Handler) -> None:
            start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            handler.send_response(206 if start else 200)
            handler.send_header("Content-Range", f"bytes {start}-{len(blob) - 1}/{len(blob)}")
            handler.send_header("Content-Length", str(len(blob) - start))
            handler.end_headers()
            handler.wfile.write(blob[start:start + 10])
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.close()

        registry.faults = [(image.digests[0], rest_cut)] * 6
        assert read(open_source(attempts=1), 0) == blob

    @pytest.mark.parametrize("size", ["same", "shorter", "longer"])
    def test_wrong_bytes(self, registry: FakeRegistry, open_source: Opener, image: FakeImage, size: str) -> None:
        good = image.blobs[0]
        bad = {"same": b"x" * len(good), "shorter": good[:-1], "longer": good + b"x"}[size]
        registry.blobs[image.digests[0]] = bad
        with pytest.raises(Corrupt) as caught:
            read(open_source(), 0)
        assert str(caught.value) == f"reading blob {image.digests[0]}: " + (
            f"Digest did not match, expected {image.digests[0]}, got {fake.digest_of(bad)}"
            if size == "same"
            else f"registry sends {len(bad)} bytes, the manifest says {len(good)}"
        )

    @pytest.mark.parametrize("extra", [-1, 1])
    def test_wrong_number_of_bytes_without_a_length(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage, extra: int
    ) -> None:
        data = (image.blobs[0] + b"x")[: len(image.blobs[0]) + extra]

        def chunked(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

        registry.faults = [(image.digests[0], chunked)]
        if extra < 0:       # an answer that ends early is no whole one: the rest is asked for
            assert read(open_source(), 0) == image.blobs[0]
            return
        with pytest.raises(Corrupt, match="is larger than"):
            read(open_source(), 0)

    def test_size_that_lies(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        replace(registry, image, lambda document: document["layers"][0].update(size=5))
        with pytest.raises(Corrupt, match="the manifest says 5"):
            read(open_source(), 0)

    def test_missing_blob(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        del registry.blobs[image.digests[2]]
        with pytest.raises(
            UnknownToRegistry, match=f"^reading blob {image.digests[2]}: fetching blob: blob unknown to registry$"
        ):
            read(open_source(), 2)

    def test_one_failure_fails_the_image(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        """Whoever waits for layer 0 hears of layer 2."""
        stop = threading.Event()
        registry.faults = [
            (image.digests[0], lambda handler: stop.wait(10) and None),
            (image.digests[2], fake.error(404, "BLOB_UNKNOWN")),
        ]
        source = open_source(workers=3)
        try:
            with pytest.raises(UnknownToRegistry):
                read(source, 0)
        finally:
            stop.set()

    def test_full_disk(
        self, open_source: Opener, image: FakeImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(fd: int, data: bytes, offset: int) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("wherry.registry.spool.os.pwrite", full)
        with pytest.raises(NoSpace, match="no space left on device"):
            read(open_source(), 0)

    def test_no_descriptors_left(
        self, open_source: Opener, image: FakeImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def exhausted(fd: int) -> int:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(downloads.os, "dup", exhausted)
        with pytest.raises(Exception, match="too many open files"):
            read(open_source(), 0)

    def test_a_bug_in_a_worker_reaches_the_reader(
        self, open_source: Opener, image: FakeImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(downloads, "write_all", lambda *_: {}["oops"])
        with pytest.raises(Exception, match="KeyError"):
            read(open_source(), 0)


class TestForeignLayers:
    def test_from_its_url(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        with FakeRegistry() as other:
            other.blobs[image.digests[1]] = registry.blobs.pop(image.digests[1])
            url = f"{other.url}/elsewhere/{image.digests[1]}"
            replace(registry, image, lambda document: document["layers"][1].update(urls=[url]))
            assert read(open_source(), 1) == image.blobs[1]
        assert image.digests[1] not in blob_requests(registry)

    def test_from_the_registry_when_no_url_can_be_used(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage
    ) -> None:
        replace(registry, image, lambda document: document["layers"][1].update(urls=["ftp://example/x"]))
        assert read(open_source(), 1) == image.blobs[1]

    def test_other_bytes_at_the_url(self, registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
        with FakeRegistry() as other:
            other.blobs["x"] = b"x" * len(image.blobs[1])
            replace(
                registry, image, lambda document: document["layers"][1].update(urls=[f"{other.url}/elsewhere/x"])
            )
            with pytest.raises(Corrupt, match="Digest did not match"):
                read(open_source(), 1)


class TestClosing:
    def test_stops_a_stalled_download(
        self, registry: FakeRegistry, open_source: Opener, image: FakeImage, tmp_path: Path
    ) -> None:
        stop = threading.Event()

        def stall(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(image.blobs[0])))
            handler.end_headers()
            handler.wfile.write(image.blobs[0][:20])
            handler.wfile.flush()
            stop.wait(20)

        registry.faults = [(image.digests[0], stall)]
        source = open_source()
        stream = source.open_layer(0)
        try:
            source.close()
            with pytest.raises(Cancelled):
                stream.read()
        finally:
            stop.set()
        assert os.listdir(tmp_path) == []

    def test_interrupts_the_pause_between_attempts(
        self, registry: FakeRegistry, client: RegistryClient, image: FakeImage, tmp_path: Path
    ) -> None:
        registry.faults = [(image.digests[0], fake.status(500))]
        top = client.manifest("team/app", "latest")
        source = RegistrySource(
            client, "team/app", read_image(client, "team/app", top, AMD64, "x"), reference="x",
            spool_parent=str(tmp_path), workers=1, retry=RetryPolicy(attempts=1, delay=60.0), reporter=None,
            is_layer_present=None,
        )
        source.open_layer(0)
        while image.digests[0] not in blob_requests(registry):
            pass
        source.close()
        assert os.listdir(tmp_path) == []
        assert not [one for one in threading.enumerate() if one.name.startswith("wherry-blob")]

    def test_twice_and_unopened(self, open_source: Opener, image: FakeImage) -> None:
        source = open_source()
        source.close()
        source.close()

    def test_no_layers_afterwards(self, open_source: Opener, image: FakeImage) -> None:
        source = open_source()
        read(source, 0)
        source.close()
        with pytest.raises(Cancelled):
            source.open_layer(1)

    def test_as_a_context_manager(self, open_source: Opener, image: FakeImage, tmp_path: Path) -> None:
        with open_source() as source:
            source.open_layer(0)
            (spool,) = os.listdir(tmp_path)
            assert os.stat(tmp_path / spool).st_mode & 0o777 == 0o700
        assert os.listdir(tmp_path) == []

    def test_spool_that_cannot_be_made(self, client: RegistryClient, image: FakeImage, tmp_path: Path) -> None:
        top = client.manifest("team/app", "latest")
        source = RegistrySource(
            client, "team/app", read_image(client, "team/app", top, AMD64, "x"), reference="x",
            spool_parent=str(tmp_path / "none"), workers=1, retry=RetryPolicy(), reporter=None, is_layer_present=None,
        )
        with pytest.raises(Exception, match=r"creating temporary directory: .*no such file or directory"):
            source.open_layer(0)


class TestRetryPolicy:
    def test_pauses_double(self) -> None:
        assert [RetryPolicy().pause(attempt) for attempt in (0, 1, 2, 5, 6, 99)] == [1, 2, 4, 32, 60, 60]

    def test_fixed_delay_and_the_registrys_wish(self) -> None:
        policy = RetryPolicy(delay=5.0)
        assert [policy.pause(0), policy.pause(3), policy.pause(0, 2.0), policy.pause(0, 3600.0)] == [5, 5, 2, 60]

    def test_final_errors_are_not_repeated(self) -> None:
        calls: list[int] = []

        def fail() -> None:
            calls.append(1)
            raise InvalidArgument("no")

        with pytest.raises(InvalidArgument):
            RetryPolicy(delay=0.001).run(fail, threading.Event())
        assert len(calls) == 1

    def test_transient_ones_are(self) -> None:
        calls: list[int] = []

        def fail() -> str:
            calls.append(1)
            if len(calls) < 3:
                raise ConnectionFailed("gone")
            return "here"

        assert RetryPolicy(attempts=2, delay=0.001).run(fail, threading.Event()) == "here"

    def test_cancelled_while_waiting(self) -> None:
        event = threading.Event()
        event.set()

        def fail() -> None:
            raise ConnectionFailed("gone")

        with pytest.raises(Cancelled):
            RetryPolicy(delay=60.0).run(fail, event)


def test_seen_bytes_are_the_hashed_bytes(registry: FakeRegistry, open_source: Opener, image: FakeImage) -> None:
    """A second transfer that begins differently cannot make up for a first one that was wrong."""
    good = image.blobs[0]
    registry.ranges = False
    registry.faults = [(image.digests[0], fake.truncated(b"x" * len(good), 50))]
    with pytest.raises(Corrupt, match="Digest did not match") as caught:
        read(open_source(), 0)
    mixed = b"x" * 50 + good[50:]
    assert str(caught.value).endswith(f"got sha256:{hashlib.sha256(mixed).hexdigest()}")

"""docker-archive, oci-archive, OCI layouts and dir: images."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_registry as fake
import pytest
from fake_registry import FakeImage, digest_of

from wherry.config.settings import EngineSettings, Settings
from wherry.errors import Corrupt, InvalidArgument, NotFound, WherryError
from wherry.registry import mediatypes, trees
from wherry.registry.archives import open_archive, open_location
from wherry.registry.platform import Platform
from wherry.registry.progress import Reporter
from wherry.registry.source import ImageSource
from wherry.registry.streams import Stream
from wherry.registry.transports import parse

AMD64 = Platform(os="linux", architecture="amd64")
Files = dict[str, bytes | tuple[str, str]]      # content, or ("symlink" or "link", target)


def tar(files: Files, order: list[str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in order or list(files):
            member = tarfile.TarInfo(name)
            content = files[name]
            if isinstance(content, tuple):
                member.type = tarfile.SYMTYPE if content[0] == "symlink" else tarfile.LNKTYPE
                member.linkname = content[1]
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def docker_files(*images: tuple[FakeImage, list[str]]) -> Files:
    files: Files = {}
    listing = []
    for image, tags in images:
        layers = []
        for diff_id, layer in zip(image.diff_ids, image.tars, strict=True):
            layers.append(diff_id[7:] + ".tar")
            files[layers[-1]] = layer
        config = digest_of(image.config)[7:] + ".json"
        files[config] = image.config
        listing.append({"Config": config, "RepoTags": tags, "Layers": layers})
    files["manifest.json"] = json.dumps(listing).encode()
    return files


def layout_files(*images: tuple[FakeImage, str], index: bool = False) -> Files:
    """An OCI layout; with *index* all images are in one index."""
    files: Files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def add(data: bytes) -> str:
        files[f"blobs/sha256/{digest_of(data)[7:]}"] = data
        return digest_of(data)

    entries: list[dict[str, Any]] = []
    for image, name in images:
        for data in (*image.blobs, image.config, image.manifest):
            add(data)
        entry = image.list_entry()
        if name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        entries.append(entry)
    if index:
        data = json.dumps({"schemaVersion": 2, "mediaType": fake.OCI_INDEX, "manifests": entries}).encode()
        entries = [{"mediaType": fake.OCI_INDEX, "digest": add(data), "size": len(data)}]
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return files


def write_tree(path: Path, files: Files) -> Path:
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        target.write_bytes(content)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    spool = tmp_path / "spool"
    spool.mkdir()
    descriptors = len(os.listdir("/proc/self/fd"))
    yield Settings(engine=EngineSettings(image_copy_tmp_dir=str(spool)))
    assert os.listdir(spool) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


Opener = Callable[..., list[ImageSource]]


@pytest.fixture
def opened(settings: Settings, tmp_path: Path) -> Iterator[Opener]:
    """Open an archive of these bytes, or at this path, and close everything at the end."""
    kept: list[ImageSource] = []

    def open_it(data: bytes | Path, **options: Any) -> list[ImageSource]:
        if isinstance(data, bytes):
            (tmp_path / "archive").write_bytes(data)
            data = tmp_path / "archive"
        kept.extend(open_archive(str(data), settings, platform=AMD64, **options))
        return kept[-len(kept):]

    yield open_it
    for source in kept:
        source.close()
        source.close()


def read(source: ImageSource, index: int) -> bytes:
    with source.open_layer(index) as stream:
        return stream.read()


def check_docker(source: ImageSource, image: FakeImage) -> None:
    assert source.config == image.config
    assert [layer.digest for layer in source.layers] == image.diff_ids
    assert [layer.diff_id for layer in source.layers] == image.diff_ids
    assert [read(source, index) for index in range(len(image.tars))] == image.tars
    assert [layer.size for layer in source.layers] == [len(layer) for layer in image.tars]


def check_oci(source: ImageSource, image: FakeImage) -> None:
    assert (source.manifest, source.manifest_digest) == (image.manifest, image.digest)
    assert source.config == image.config
    assert [layer.diff_id for layer in source.layers] == image.diff_ids
    assert [read(source, index) for index in range(len(image.blobs))] == image.blobs


class TestDockerArchive:
    def test_one_image(self, opened: Opener) -> None:
        image = FakeImage(3)
        (source,) = opened(tar(docker_files((image, ["docker.io/library/foo:1", "busybox:2", "quay.io/z/y:7"]))))
        assert source.names == ["docker.io/library/foo:1", "localhost/busybox:2", "quay.io/z/y:7"]
        check_docker(source, image)

    def test_manifest_is_the_one_containers_image_makes(self, opened: Opener) -> None:
        image = FakeImage(1)
        (source,) = opened(tar(docker_files((image, []))))
        assert source.manifest_media_type == mediatypes.DOCKER_MANIFEST
        assert source.manifest.decode() == (
            '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
            '"config":{"mediaType":"application/vnd.docker.container.image.v1+json",'
            f'"size":{len(image.config)},"digest":"{digest_of(image.config)}"}},'
            '"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip",'
            f'"size":{len(image.tars[0])},"digest":"{image.diff_ids[0]}"}}]}}'
        )
        assert source.manifest_digest == digest_of(source.manifest)
        assert source.names == []

    def test_several_images_share_the_archive(self, opened: Opener) -> None:
        images = [FakeImage(2, seed=seed) for seed in "ab"]
        sources = opened(tar(docker_files((images[0], ["a:1"]), (images[1], ["b:1"]))))
        sources[0].close()
        check_docker(sources[1], images[1])
        with pytest.raises(InvalidArgument):
            sources[0].open_layer(0)

    @pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
    def test_compressed_as_a_whole(self, opened: Opener, compress: Callable[[bytes], bytes]) -> None:
        image = FakeImage(2)
        (source,) = opened(compress(tar(docker_files((image, ["a:1"])))))
        check_docker(source, image)

    def test_compressed_layers(self, opened: Opener) -> None:
        image = FakeImage(2)
        files = docker_files((image, ["a:1"]))
        for diff_id, layer in zip(image.diff_ids, image.tars, strict=True):
            files[diff_id[7:] + ".tar"] = gzip.compress(layer)
        (source,) = opened(tar(files))
        check_docker(source, image)

    def test_layers_behind_links(self, opened: Opener) -> None:
        """The layout of docker before version 25, with the duplicates podman and docker write as links."""
        image = FakeImage(3)
        files = docker_files((image, ["a:1"]))
        for number, diff_id in enumerate(image.diff_ids):
            flat = diff_id[7:] + ".tar"
            link = ("symlink", f"../{flat}") if number else ("link", flat)
            files[f"layer{number}/layer.tar"] = link
            files[f"layer{number}/VERSION"] = b"1.0"
        listing = json.loads(files["manifest.json"])      # type: ignore[arg-type]
        listing[0]["Layers"] = [f"layer{number}/layer.tar" for number in range(3)]
        files["manifest.json"] = json.dumps(listing).encode()
        files["repositories"] = b"{}"
        (source,) = opened(tar(files))
        check_docker(source, image)

    def test_listing_first_and_dotted_names(self, opened: Opener) -> None:
        image = FakeImage(2)
        files = {f"./{name}": content for name, content in docker_files((image, ["a:1"])).items()}
        (source,) = opened(tar(files, sorted(files, reverse=True)))
        check_docker(source, image)

    def test_layer_that_occurs_twice(self, opened: Opener) -> None:
        image = FakeImage(1)
        image.tars *= 2
        image.diff_ids *= 2
        image.config = json.dumps({"rootfs": {"type": "layers", "diff_ids": image.diff_ids}}).encode()
        (source,) = opened(tar(docker_files((image, ["a:1"]))))
        check_docker(source, image)

    def test_large_members_are_jumped_over(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        image = FakeImage(3, size=40_000)
        data = tar(docker_files((image, ["a:1"])))
        taken: list[int] = []
        real = os.pread

        def counted(fd: int, size: int, offset: int) -> bytes:
            taken.append(min(size, 1024))
            return real(fd, min(size, 1024), offset)

        monkeypatch.setattr(trees, "_JUMP", 10_000)
        monkeypatch.setattr(trees.os, "pread", counted)
        tree = trees.ArchiveTree(str(self.stored(tmp_path, data)), str(tmp_path))
        assert sum(taken) < len(data) / 4
        monkeypatch.undo()
        stream, size = tree.stream(image.diff_ids[2][7:] + ".tar")
        assert (stream.read(), size) == (image.tars[2], len(image.tars[2]))
        tree.close()

    def stored(self, tmp_path: Path, data: bytes) -> Path:
        (tmp_path / "large").write_bytes(data)
        return tmp_path / "large"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda files: files.pop("manifest.json"), "loading tar component manifest.json: file does not exist"),
            (lambda files: files.update({"manifest.json": b"junk"}), "decoding tar manifest.json"),
            (lambda files: files.update({"manifest.json": b"[" * 100_000}), "decoding tar manifest.json"),
            (lambda files: files.update({"manifest.json": b"{}"}), "not a list of images"),
            (lambda files: files.update({"manifest.json": b"[5]"}), "item @0 names no config"),
            (lambda files: files.update({"manifest.json": b'[{"Config": 5}]'}), "item @0 names no config"),
            (lambda files: files.update({"manifest.json": b'[{"Config": "x", "Layers": 5}]'}), "item @0 is malformed"),
            (
                lambda files: files.update({"manifest.json": b'[{"Config": "x", "RepoTags": ["BAD UP"]}]'}),
                'Invalid tag "BAD UP" in manifest item @0: invalid reference format',
            ),
            (
                lambda files: files.update({"manifest.json": b'[{"Config": "x", "RepoTags": ["busybox"]}]'}),
                'Invalid tag "busybox" in manifest item @0: does not contain a tag',
            ),
            (lambda files: files.update({"manifest.json": b" " * ((1 << 20) + 1)}), "exceeded maximum allowed size"),
            (lambda files: files.update({"manifest.json": ("symlink", "manifest.json")}), "too many levels"),
            (lambda files: files.update({"manifest.json": ("symlink", "/etc/passwd")}), "file does not exist"),
            (lambda files: files.pop(next(name for name in files if name.endswith(".tar"))), "file does not exist"),
            (lambda files: files.pop(next(name for name in files if len(name) == 69)), "file does not exist"),
        ],
    )
    def test_broken(self, opened: Opener, change: Callable[[Files], object], message: str) -> None:
        files = docker_files((FakeImage(2), ["a:1"]))
        change(files)
        with pytest.raises(InvalidArgument) as caught:
            opened(tar(files))
        text = str(caught.value)
        assert text.startswith("payload does not match any of the supported image formats:\n * oci-archive: ")
        assert message in text.partition("docker-archive: ")[2]

    def test_other_number_of_layers(self, opened: Opener) -> None:
        files = docker_files((FakeImage(2), ["a:1"]))
        listing = json.loads(files["manifest.json"])      # type: ignore[arg-type]
        listing[0]["Layers"].pop()
        files["manifest.json"] = json.dumps(listing).encode()
        with pytest.raises(InvalidArgument, match="2 diff IDs for 1 layers"):
            opened(tar(files))

    def test_config_without_diff_ids(self, opened: Opener) -> None:
        image = FakeImage(1)
        image.config = b"{}"
        with pytest.raises(InvalidArgument, match="rootFS is not set"):
            opened(tar(docker_files((image, []))))

    @pytest.mark.parametrize("change", [lambda data: b"x" + data[1:], lambda data: data + b"x", lambda data: data[:-1]])
    def test_wrong_layer(self, opened: Opener, change: Callable[[bytes], bytes]) -> None:
        image = FakeImage(1)
        files = docker_files((image, ["a:1"]))
        name = image.diff_ids[0][7:] + ".tar"
        files[name] = change(files[name])       # type: ignore[arg-type]
        (source,) = opened(tar(files))
        with pytest.raises(Corrupt, match=f"Digest did not match, expected {image.diff_ids[0]}"):
            read(source, 0)

    def test_truncated_archive(self, opened: Opener) -> None:
        data = tar(docker_files((FakeImage(2), ["a:1"])))
        for size in (0, 100, 512, 700, 5000, len(data) // 2):
            with pytest.raises(WherryError):
                opened(data[:size])

    def test_device_named_like_the_listing(self, opened: Opener) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for kind in (tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
                member = tarfile.TarInfo("manifest.json")
                member.type = kind
                archive.addfile(member)
        with pytest.raises(InvalidArgument, match=r"component manifest\.json: not a regular file"):
            opened(out.getvalue())

    def test_too_many_members(self, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trees, "MAX_MEMBERS", 4)
        with pytest.raises(Corrupt, match="archive has more than 4 members"):
            opened(tar(docker_files((FakeImage(5), ["a:1"]))))

    def test_first_of_several_with_one_name(self, opened: Opener) -> None:
        image = FakeImage(1)
        data = tar(docker_files((image, ["first:1"])))
        again = tar(docker_files((FakeImage(1, seed="x"), ["second:1"])))
        end = data.rstrip(b"\0")
        (source,) = opened(end + bytes(-len(end) % 512) + again)
        assert source.names == ["localhost/first:1"]


class TestLayouts:
    @pytest.mark.parametrize("kind", ["directory", "archive", "gzip"])
    def test_one_image(self, opened: Opener, tmp_path: Path, kind: str) -> None:
        image = FakeImage(3)
        files = layout_files((image, "app:7"))
        data: bytes | Path = tar(files)
        if kind == "directory":
            data = write_tree(tmp_path / "layout", files)
        elif kind == "gzip":
            data = gzip.compress(tar(files))
        (source,) = opened(data)
        assert source.names == ["localhost/app:7"]
        assert source.manifest_list == b""
        check_oci(source, image)

    def test_containerds_name_wins(self, opened: Opener, tmp_path: Path) -> None:
        files = layout_files((FakeImage(1), "7"))
        index = json.loads(files["index.json"])       # type: ignore[arg-type]
        index["manifests"][0]["annotations"]["io.containerd.image.name"] = "docker.io/library/app:7"
        files["index.json"] = json.dumps(index).encode()
        (source,) = opened(write_tree(tmp_path / "layout", files))
        assert source.names == ["docker.io/library/app:7"]

    @pytest.mark.parametrize("name", ["", "Not a name"])
    def test_nameless(self, opened: Opener, name: str) -> None:
        (source,) = opened(tar(layout_files((FakeImage(1), name))))
        assert source.names == []

    def test_index_within(self, opened: Opener) -> None:
        images = [FakeImage(1, architecture=name, seed=name) for name in ("arm64", "amd64")]
        files = layout_files((images[0], ""), (images[1], ""), index=True)
        (source,) = opened(tar(files))
        check_oci(source, images[1])
        (entry,) = json.loads(files["index.json"])["manifests"]       # type: ignore[arg-type]
        assert digest_of(source.manifest_list) == entry["digest"]

    def test_index_with_nothing_for_the_platform(self, opened: Opener) -> None:
        files = layout_files((FakeImage(1, architecture="arm64"), ""), index=True)
        with pytest.raises(InvalidArgument, match="choosing an image from manifest list oci-archive:"):
            opened(tar(files))

    def test_docker_manifest(self, opened: Opener) -> None:
        image = FakeImage(1, docker=True)
        (source,) = opened(tar(layout_files((image, ""))))
        assert source.manifest_media_type == mediatypes.DOCKER_MANIFEST
        check_oci(source, image)

    def test_several_images_of_docker_save(self, opened: Opener) -> None:
        """An archive that is a layout and a docker-archive at once is taken for the latter, as Podman does."""
        images = [FakeImage(1, seed=seed) for seed in "ab"]
        files = layout_files(*[(image, "") for image in images]) | docker_files(*[(image, ["x:1"]) for image in images])
        sources = opened(tar(files))
        assert [source.config for source in sources] == [image.config for image in images]
        check_docker(sources[1], images[1])

    def test_several_images_of_a_layout(self, opened: Opener, tmp_path: Path) -> None:
        files = layout_files((FakeImage(1, seed="a"), "a"), (FakeImage(1, seed="b"), "b"))
        with pytest.raises(InvalidArgument, match=r"oci: initializing source .*: more than one image in oci, choose"):
            opened(write_tree(tmp_path / "layout", files))

    @pytest.mark.parametrize(
        ("name", "message"),
        [("layer", "Digest did not match"), ("config", "parsing image configuration: digest mismatch"),
         ("manifest", "digest mismatch")],
    )
    def test_wrong_blobs(self, opened: Opener, name: str, message: str) -> None:
        image = FakeImage(1)
        files = layout_files((image, ""))
        data = {"layer": image.blobs[0], "config": image.config, "manifest": image.manifest}[name]
        files[f"blobs/sha256/{digest_of(data)[7:]}"] = b"x" * len(data)
        with pytest.raises(WherryError, match=message):
            read(opened(tar(files))[0], 0)

    def test_missing_layer(self, opened: Opener, tmp_path: Path) -> None:
        image = FakeImage(1)
        path = write_tree(tmp_path / "layout", layout_files((image, "")))
        (path / "blobs/sha256" / image.digests[0][7:]).unlink()
        (source,) = opened(path)
        with pytest.raises(NotFound, match=f"open {path}/blobs/sha256/.*: no such file or directory"):
            source.open_layer(0)

    def test_index_that_is_none(self, opened: Opener, tmp_path: Path) -> None:
        files = layout_files((FakeImage(1), ""))
        for bad in (b"junk", b"[]", FakeImage(1).manifest, b'{"manifests": []}'):
            files["index.json"] = bad
            with pytest.raises(InvalidArgument, match="oci: initializing source"):
                opened(write_tree(tmp_path / "layout", files))


class TestDirectory:
    def files(self, image: FakeImage) -> Files:
        found: Files = {digest_of(data)[7:]: data for data in (*image.blobs, image.config)}
        return found | {"manifest.json": image.manifest, "version": b"Directory Transport Version: 1.1\n"}

    def test_one_image(self, opened: Opener, tmp_path: Path) -> None:
        image = FakeImage(2)
        (source,) = opened(write_tree(tmp_path / "dir", self.files(image)))
        assert source.names == []
        assert source.reference == f"dir:{tmp_path}/dir"
        check_oci(source, image)

    def test_list(self, opened: Opener, tmp_path: Path) -> None:
        image = FakeImage(2)
        files = self.files(image)
        files[f"{image.digest[7:]}.manifest.json"] = image.manifest
        files["manifest.json"] = json.dumps({"manifests": [image.list_entry()]}).encode()
        (source,) = opened(write_tree(tmp_path / "dir", files))
        assert source.manifest_list == files["manifest.json"]
        check_oci(source, image)

    def test_fifo_for_a_layer(self, opened: Opener, tmp_path: Path) -> None:
        image = FakeImage(1)
        path = write_tree(tmp_path / "dir", self.files(image))
        (path / image.digests[0][7:]).unlink()
        os.mkfifo(path / image.digests[0][7:])
        (source,) = opened(path)
        with pytest.raises(InvalidArgument, match="not a regular file"):
            source.open_layer(0)


class TestWhatItIs:
    def test_missing(self, opened: Opener) -> None:
        with pytest.raises(NotFound) as caught:
            opened(Path("/nonexist"))
        assert str(caught.value) == "stat /nonexist: no such file or directory"

    def test_no_archive(self, opened: Opener) -> None:
        with pytest.raises(Corrupt, match=r"archive/tar: invalid tar header|unexpected EOF"):
            opened(b"root:x:0:0:root:/root:/bin/bash\n" * 40)

    def test_empty_directory(self, opened: Opener, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(InvalidArgument) as caught:
            opened(tmp_path / "empty")
        path = f"{tmp_path}/empty"
        assert str(caught.value) == (
            "payload does not match any of the supported image formats:\n"
            f" * oci: initializing source oci:{path}:: open {path}/index.json: no such file or directory\n"
            f" * dir: open {path}/manifest.json: no such file or directory"
        )

    def test_empty_archive(self, opened: Opener) -> None:
        with pytest.raises(InvalidArgument, match="payload does not match"):
            opened(tar({}))

    def test_stream(self, settings: Settings) -> None:
        image = FakeImage(2)
        data = gzip.compress(tar(docker_files((image, ["a:1"]))))
        (source,) = open_archive(io.BytesIO(data), settings, platform=AMD64)
        check_docker(source, image)
        assert source.reference == "docker-archive:stdin:a:1"
        source.close()

    def test_pipe_by_name(self, opened: Opener, tmp_path: Path) -> None:
        image = FakeImage(2, size=90_000)
        os.mkfifo(tmp_path / "pipe")
        data = tar(docker_files((image, ["a:1"])))
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
        writer.start()
        (source,) = opened(tmp_path / "pipe")
        writer.join()
        check_docker(source, image)

    def test_damaged_compression(self, opened: Opener) -> None:
        data = gzip.compress(tar(docker_files((FakeImage(2, size=90_000), ["a:1"]))))
        with pytest.raises(Corrupt, match="reading gzip data"):
            opened(data[: len(data) // 2])


class TestLocations:
    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        images = [(FakeImage(1, seed=seed), seed) for seed in ("one", "two")]
        tagged = [(image, [f"{seed}:1", f"docker.io/x/{seed}:2"]) for image, seed in images]
        (tmp_path / "docker.tar").write_bytes(tar(docker_files(*tagged)))
        (tmp_path / "oci.tar").write_bytes(tar(layout_files(*images)))
        (tmp_path / "single.tar").write_bytes(tar(docker_files(tagged[0])))
        write_tree(tmp_path / "oci", layout_files(*images))
        write_tree(tmp_path / "dir", TestDirectory().files(images[0][0]))
        return tmp_path

    @pytest.mark.parametrize(
        ("text", "which", "names"),
        [
            ("docker-archive:{}/docker.tar:two:1", "two", ["localhost/two:1"]),
            ("docker-archive:{}/docker.tar:docker.io/x/two:2", "two", ["docker.io/x/two:2"]),
            ("docker-archive:{}/docker.tar:@1", "two", ["localhost/two:1", "docker.io/x/two:2"]),
            ("docker-archive:{}/single.tar", "one", ["localhost/one:1", "docker.io/x/one:2"]),
            ("oci-archive:{}/oci.tar:two", "two", ["localhost/two:latest"]),
            ("oci-archive:{}/oci.tar:@0", "one", ["localhost/one:latest"]),
            ("oci:{}/oci:two", "two", ["localhost/two:latest"]),
            ("oci:{}/oci:@1", "two", ["localhost/two:latest"]),
            ("dir:{}/dir", "one", []),
        ],
    )
    def test_one_image(self, files: Path, settings: Settings, text: str, which: str, names: list[str]) -> None:
        with open_location(parse(text.format(files)), settings, platform=AMD64) as source:
            assert source.config == FakeImage(1, seed=which).config
            assert source.names == names

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("docker-archive:{}/docker.tar", "Unexpected tar manifest.json: expected 1 item, got 2"),
            ("docker-archive:{}/docker.tar:nope", 'Tag "docker.io/library/nope:latest" not found'),
            ("docker-archive:{}/docker.tar:@2", "Invalid source index @2, only 2 manifest items available"),
            ("docker-archive:{}/oci.tar", "loading tar component manifest.json: file does not exist"),
            ("docker-archive:{}/none", 'opening file "{}/none": open {}/none: no such file or directory'),
            ("docker-archive:{}/dir", "read {}/dir: is a directory"),
            ("oci-archive:{}/oci.tar", "loading index: more than one image in oci, choose an image"),
            ("oci-archive:{}/oci.tar:nope", 'loading index: no descriptor found for reference "nope"'),
            (
                "oci-archive:{}/docker.tar",
                "loading index: loading tar component index.json: file does not exist",
            ),
            ("oci:{}/oci:nope", 'initializing source oci:{}/oci:nope: no descriptor found for reference "nope"'),
            ("oci:{}/oci:@2", "initializing source oci:{}/oci:@2: index 2 is too large, only 2 entries available"),
            ("oci:{}/none:x", "initializing source oci:{}/none:x: open {}/none/index.json: no such file or directory"),
            ("dir:{}/none", "open {}/none/manifest.json: no such file or directory"),
            ("dir:{}/docker.tar", "open {}/docker.tar/manifest.json: not a directory"),
        ],
    )
    def test_errors(self, files: Path, settings: Settings, text: str, message: str) -> None:
        with pytest.raises(WherryError) as caught:
            open_location(parse(text.replace("{}", str(files))), settings, platform=AMD64)
        assert str(caught.value) == message.replace("{}", str(files))


class Recorder(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, id: str, text: str, total: int) -> None:
        self.lines.append(f"{text} {id} {total}")

    def finish(self, id: str, text: str) -> None:
        self.lines.append(f"{id} {text}")


def test_reports(opened: Opener) -> None:
    image = FakeImage(2)
    recorder = Recorder()
    (source,) = opened(tar(docker_files((image, ["a:1"]))), reporter=recorder)
    read(source, 1)
    source.announce_config()
    config = digest_of(image.config)
    assert recorder.lines == [
        f"Copying blob {image.diff_ids[1]} {len(image.tars[1])}",
        f"{image.diff_ids[1]} done",
        f"Copying blob {image.diff_ids[0]} {len(image.tars[0])}",
        f"{image.diff_ids[0]} skipped: already exists",
        f"Copying config {config} {len(image.config)}",
        f"{config} done",
    ]


def test_a_stream_does_nothing_by_itself() -> None:
    with pytest.raises(NotImplementedError):
        Stream().read(1)

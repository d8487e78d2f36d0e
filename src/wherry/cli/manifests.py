"""``wherry manifest``."""

from __future__ import annotations

from wherry.cli import transfer
from wherry.cli.flags import Flag, UsageError
from wherry.cli.images_push import COMPRESSION, SIGNING
from wherry.cli.progress import reporter
from wherry.errors import InvalidArgument, NoSuchImage, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.cli.call import Call
    from wherry.cli.flags import Parsed
    from wherry.engine.manifest_artifacts import ArtifactOptions
    from wherry.engine.manifest_lists import Access, Annotations

_ALL = Flag("all", kind="bool", help="All images of a list, not only this machine's")
_ANNOTATION = Flag("annotation", many=True, metavar="annotation=value", help="Annotate the entry")
_PLATFORM = (
    Flag("arch", metavar="architecture", help="Architecture of the image"),
    Flag("features", many=True, split=True, metavar="feature", help="CPU features the image needs"),
    Flag("os", metavar="OS", help="Operating system of the image"),
    Flag("os-version", metavar="version", help="Version of the operating system"),
    Flag("variant", help="Variant of the architecture"),
)
_ARTIFACT = (
    Flag("artifact", kind="bool", help="Add files as an artifact"),
    Flag("artifact-config", metavar="path", help="Configuration of the artifact"),
    Flag("artifact-config-type", metavar="type", help="Type of the artifact's configuration"),
    Flag("artifact-exclude-titles", kind="bool", help="Leave out file names"),
    Flag("artifact-layer-type", metavar="type", help="Type of the artifact's layers"),
    Flag("artifact-subject", metavar="imageName", help="Image the artifact belongs to"),
    Flag("artifact-type", metavar="type", help="Type of the artifact"),
)
ADD = (_ALL, _ANNOTATION, *_PLATFORM, *_ARTIFACT, *transfer.ACCESS, transfer.INSECURE)
ANNOTATE = (
    _ANNOTATION, *_PLATFORM,
    Flag("index", kind="bool", help="Annotate the list itself"),
    Flag("os-features", many=True, split=True, metavar="feature", help="Features of the operating system"),
    Flag("subject", metavar="imageName", help="Image the list belongs to"),
)
CREATE = (
    _ALL,
    Flag("amend", "a", "bool", "Add to a list that exists"),
    Flag("annotation", many=True, metavar="value", help="Annotate the list"),
    transfer.INSECURE,
    transfer.TLS_VERIFY,
)
INSPECT = (
    transfer.AUTHFILE, transfer.INSECURE, transfer.TLS_VERIFY,
    Flag("verbose", "v", "bool", "Accepted for Docker's sake; does nothing", hidden=True),
)
PUSH = (
    Flag("add-compression", many=True, split=True, metavar="compression", help="Push further compressed forms"),
    Flag("all", kind="bool", default="true", help="Push the images of the list as well"),
    *COMPRESSION, *SIGNING, *transfer.ACCESS, transfer.INSECURE,
    Flag("digestfile", metavar="Digestfile", help="Write the digest of the pushed list to this file"),
    Flag("format", "f", metavar="format", help="Manifest type: oci or v2s2"),
    Flag("purge", "p", "bool", "Remove the list afterwards", hidden=True),
    Flag("quiet", "q", "bool", "Show no progress"),
    Flag("rm", kind="bool", help="Remove the list afterwards"),
)
RM = (Flag("ignore", "i", "bool", "Missing lists are no error"),)


def create(call: Call) -> int:
    """Make a manifest list and print its id."""
    from wherry.engine import manifest_lists

    flags = call.flags
    made = manifest_lists.create(
        call.runtime, call.args[0], call.args[1:], amend=flags.on("amend"), all=flags.on("all"),
        annotations=_pairs(flags.many("annotation")), access=_access(flags),
    )
    call.out(made.record.id + "\n")
    return 0


def add(call: Call) -> int:
    """Add images to a list and print its id."""
    from wherry.engine import manifest_lists

    flags = call.flags
    found = manifest_lists.find(call.runtime, call.args[0])
    if flags.on("artifact"):
        found.add_artifact(call.args[1:], _artifact(call), _said(flags))
    else:
        for flag in _ARTIFACT:
            if flags.given(flag.name):
                raise UsageError(f"--{flag.name} can only be used with --artifact", see=False)
        for text in call.args[1:]:
            found.add(text, _said(flags), _access(flags), all=flags.on("all"))
    call.out(found.record.id + "\n")
    return 0


def annotate(call: Call) -> int:
    """Say more of an entry of a list, or of the list, and print its id."""
    from wherry.engine import manifest_lists

    flags = call.flags
    found = manifest_lists.find(call.runtime, call.args[0])
    if flags.given("subject"):
        found.set_subject(manifest_lists.descriptor_of(call.runtime, flags.text("subject"), manifest_lists.Access()))
    if flags.on("index") or flags.given("subject"):
        found.annotate_index(_pairs(flags.many("annotation")))
    elif len(call.args) < 2:
        raise UsageError("no image to annotate was specified", see=False)
    else:
        found.annotate(manifest_lists.instance_digest(call.runtime, found, call.args[1]), _said(flags))
    found.save()
    call.out(found.record.id + "\n")
    return 0


def exists(call: Call) -> int:
    """0 when there is such a list, 1 when not."""
    from wherry.engine import manifest_lists

    return 0 if manifest_lists.exists(call.runtime, call.args[0]) else 1


def inspect(call: Call) -> int:
    """Show a list of the store, or of a registry."""
    from wherry.engine import manifest_lists
    from wherry.model import jsontext

    text = call.args[0]
    try:
        document = manifest_lists.find(call.runtime, text).document
    except WherryError:
        document = jsontext.loads(manifest_lists.remote_document(call.runtime, text, _access(call.flags)))
    call.out(jsontext.dumps_pretty(document, 4) + "\n")
    return 0


def push(call: Call) -> int:
    """Push a list and its images to a registry or directory."""
    from wherry.cli.images_push import options
    from wherry.engine.image_push import PushOptions, write_digest
    from wherry.engine.manifest_push import ListPushOptions, push_list

    flags = call.flags
    how = ListPushOptions(
        push=PushOptions(**options(flags)), all=flags.on("all"), remove=flags.on("rm") or flags.on("purge"),
        add_compression=flags.many("add-compression") or call.runtime.settings.engine.add_compression,
    )
    target = call.args[1] if len(call.args) > 1 else ""
    written = push_list(call.runtime, call.args[0], target, how, reporter(quiet=flags.on("quiet")))
    if flags.given("digestfile"):
        write_digest(flags.text("digestfile"), written.digest)
    return 0


def remove(call: Call) -> int:
    """Take an image out of a list and print the list's id."""
    from wherry.engine import manifest_lists
    from wherry.model.digest import is_digest

    found = manifest_lists.find(call.runtime, call.args[0])
    if not is_digest(call.args[1]):
        raise InvalidArgument(f'removing from manifest list {call.args[0]}: invalid image digest "{call.args[1]}"')
    found.remove(call.args[1])
    call.out(found.record.id + "\n")
    return 0


def rm(call: Call) -> int:
    """Remove lists."""
    from wherry.cli.targets import finish
    from wherry.engine import manifest_lists

    errors: list[WherryError] = []
    for text in call.args:
        try:
            found = manifest_lists.find(call.runtime, text)
            call.out("".join(line + "\n" for line in call.runtime.images.remove(found.record.id, force=True)))
        except NoSuchImage as error:
            if not call.flags.on("ignore"):
                errors.append(error)
        except WherryError as error:
            errors.append(error)
    return finish(errors)


def _artifact(call: Call) -> ArtifactOptions:
    from wherry.engine.manifest_artifacts import ArtifactOptions
    from wherry.engine.manifest_lists import descriptor_of

    flags = call.flags
    subject = None
    if flags.given("artifact-subject"):
        subject = descriptor_of(call.runtime, flags.text("artifact-subject"), _access(flags))
    return ArtifactOptions(
        artifact_type=flags.text("artifact-type") if flags.given("artifact-type") else None,
        config=flags.text("artifact-config"), config_type=flags.text("artifact-config-type"),
        layer_type=flags.text("artifact-layer-type"), exclude_titles=flags.on("artifact-exclude-titles"),
        subject=subject,
    )


def _said(flags: Parsed) -> Annotations:
    from wherry.engine.manifest_lists import Annotations

    return Annotations(
        architecture=flags.text("arch"), os=flags.text("os"), variant=flags.text("variant"),
        os_version=flags.text("os-version"), features=flags.many("features"),
        os_features=flags.many("os-features") if flags.flags.owns("os-features") else (),
        annotations=_pairs(flags.many("annotation")),
    )


def _access(flags: Parsed) -> Access:
    from wherry.engine.manifest_lists import Access

    return Access(**{
        key: value for key, value in transfer.access(flags).items() if key not in ("retry", "retry_delay")
    })


def _pairs(texts: list[str]) -> Mapping[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"no value given for annotation \"{key}\"", see=False)
        found[key] = value
    return found

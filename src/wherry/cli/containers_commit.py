"""``wherry commit`` and ``wherry export``."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError
from wherry.errors import from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

COMMIT = (
    Flag("author", "a", metavar="author", help="Author of the image"),
    Flag("change", "c", many=True, metavar="instruction",
         help="Containerfile instruction to apply: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, "
              "VOLUME, WORKDIR"),
    Flag("config", metavar="ConfigBlobFile", help="File with a configuration to merge into the image's"),
    Flag("format", "f", default="oci", metavar="oci | docker", help="Format of manifest and metadata"),
    Flag("iidfile", metavar="ImageIDfile", help="Write the image's id to this file"),
    Flag("include-volumes", kind="bool", help="List the container's volumes in the image"),
    Flag("message", "m", metavar="message", help="Comment (docker format only)"),
    Flag("pause", "p", "bool", "Freeze the container meanwhile"),
    Flag("quiet", "q", "bool", "Show no progress"),
    Flag("squash", "s", "bool", "Make an image of one layer"),
)
EXPORT = (Flag("output", "o", help="Write to this file instead of standard output"),)


def commit(call: Call) -> int:
    """Make an image of a container and print its id."""
    from wherry.engine.commit import CommitOptions
    from wherry.sys.files import read_bytes

    flags = call.flags
    config = b""
    if flags.given("config"):
        try:
            config = read_bytes(flags.text("config"))
        except OSError as error:
            raise from_os_error(error, "reading config") from None
    options = CommitOptions(
        format=flags.text("format"), author=flags.text("author"), message=flags.text("message"),
        changes=flags.many("change"), config=config, include_volumes=flags.on("include-volumes"),
        pause=flags.on("pause"), squash=flags.on("squash"),
    )
    container = call.runtime.containers.get(call.args[0])
    from wherry.engine import commit as engine

    image = engine.commit(call.runtime, container.id, call.args[1] if len(call.args) > 1 else "", options)
    if flags.given("iidfile"):
        try:
            with open(flags.text("iidfile"), "w", encoding="utf-8") as file:
                file.write(image.id)
        except OSError as error:
            raise from_os_error(error, "failed to write image ID") from None
    call.out(image.id + "\n")
    return 0


def export(call: Call) -> int:
    """Write a container's root file system as a tar."""
    from wherry.engine import changed
    from wherry.engine.image_files import Output
    from wherry.sys.terminal import is_terminal

    container = call.runtime.containers.get(call.args[0])
    path = call.flags.text("output")
    if not path:
        if is_terminal(1):
            raise UsageError(
                "cannot write to terminal, use command-line redirection or the --output flag", see=False
            )
        path = "/dev/stdout"
    output = Output(path)
    try:
        changed.export(call.runtime, container.id, output.fd)
        output.commit()
    finally:
        output.close()
    return 0

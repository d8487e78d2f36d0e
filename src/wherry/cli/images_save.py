"""``wherry save``."""

from __future__ import annotations

from wherry.cli import transfer
from wherry.cli.flags import Flag, UsageError
from wherry.cli.progress import reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

SAVE = (
    Flag("compress", kind="bool", help="Compress layers (format docker-dir only)"),
    Flag("format", default="docker-archive", metavar="format",
         help="oci-archive, oci-dir, docker-dir or docker-archive"),
    Flag("multi-image-archive", "m", "bool", "All arguments are images, not names for the first"),
    Flag("output", "o", metavar="file", help="Write to this file or directory instead of standard output"),
    Flag("quiet", "q", "bool", "Show no progress"),
    transfer.SIGNATURE_POLICY,
    Flag("uncompressed", kind="bool", help="Leave the layers of an OCI image uncompressed"),
)


def save(call: Call) -> int:
    """Write images to an archive or directory."""
    from wherry.sys.terminal import is_terminal

    flags = call.flags
    if not call.args:
        raise UsageError("need at least 1 argument", see=False)
    path = flags.text("output")
    multi = flags.on("multi-image-archive") or (
        not flags.given("multi-image-archive") and call.runtime.settings.engine.multi_image_archive
    )
    if not path:
        if flags.text("format") in ("oci-dir", "docker-dir"):
            raise UsageError("dir output format requires an output directory (-o)", see=False)
        if is_terminal(1):
            raise UsageError("refusing to save to terminal. Use -o flag or redirect", see=False)
        path = "/dev/stdout"
    elif ":" in path:
        raise UsageError(f'invalid filename (should not contain \':\') "{path}"', see=False)
    call.runtime.images.save(
        call.args, path, format=flags.text("format"), multi_image=multi, compress=flags.on("compress"),
        uncompressed=flags.on("uncompressed"), signature_policy=flags.text("signature-policy"),
        progress=reporter(quiet=flags.on("quiet")),
    )
    return 0

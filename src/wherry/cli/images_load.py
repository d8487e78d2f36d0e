"""``wherry load`` and ``wherry import``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.cli.progress import reporter
from wherry.errors import InvalidArgument, from_os_error
from wherry.model.ids import is_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.cli.call import Call

LOAD = (
    Flag("input", "i", metavar="input", help="Read from this file or directory instead of standard input"),
    Flag("quiet", "q", "bool", "Show no progress"),
    Flag("signature-policy", hidden=True, help="Signature policy file"),
)
IMPORT_IMAGE = (
    Flag("arch", metavar="ARCH", help="Processor architecture of the image"),
    Flag("change", "c", many=True, metavar="instruction",
         help="Containerfile instruction to apply: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, "
              "VOLUME, WORKDIR"),
    Flag("message", "m", metavar="message", help="Comment in the image's history"),
    Flag("os", metavar="OS", help="Operating system of the image"),
    Flag("quiet", "q", "bool", "Show no progress"),
    Flag("signature-policy", hidden=True, help="Signature policy file"),
    Flag("variant", metavar="VARIANT", help="Variant of the architecture"),
)


def load(call: Call) -> int:
    """Load images from an archive, a directory or standard input."""
    from wherry.sys.terminal import is_terminal

    flags = call.flags
    path = flags.text("input")

    def use(file: str) -> list[str]:
        return call.runtime.images.load(
            file, progress=reporter(quiet=flags.on("quiet")), signature_policy=flags.text("signature-policy")
        )

    if path and path != "/dev/stdin":
        names = use(path)
    else:
        if is_terminal(0):
            raise InvalidArgument("cannot read from terminal, use command-line redirection or the --input flag")
        names = _from_stdin(call, use)
    for name in names:
        call.out(f"Loaded image: {'sha256:' if is_id(name) else ''}{name}\n")
    return 0


def import_image(call: Call) -> int:
    """Make an image from a root file system tar and print its id."""
    flags = call.flags
    source = call.args[0]
    name = call.args[1] if len(call.args) > 1 else ""

    def make(path: str) -> list[str]:
        image = call.runtime.images.import_(
            path,
            name=name,
            message=flags.text("message"),
            changes=flags.many("change"),
            os=flags.text("os"),
            architecture=flags.text("arch"),
            variant=flags.text("variant"),
            signature_policy=flags.text("signature-policy"),
            progress=reporter(quiet=flags.on("quiet")),
        )
        return [image.id]

    if source.startswith(("http://", "https://")):
        identity = _from_url(call, source, make)[0]
    elif source == "-":
        identity = _from_stdin(call, make)[0]
    else:
        identity = make(source)[0]
    call.out(f"sha256:{identity}\n")
    return 0


def _from_stdin(call: Call, use: Callable[[str], list[str]]) -> list[str]:
    import sys

    return _spooled(call, sys.stdin.buffer.read, use)


def _from_url(call: Call, url: str, use: Callable[[str], list[str]]) -> list[str]:
    """Download *url* first; it may be read several times."""
    from wherry.registry.failures import Context, status_line
    from wherry.registry.http import HTTPClient
    from wherry.registry.proxies import Proxies

    call.out(f'Downloading from "{url}"\n')
    http = HTTPClient(proxies=Proxies.from_environment(call.runtime.settings.environment.proxies))
    try:
        with Context(f"downloading {url}"):
            response = http.request("GET", url)
            if response.status != 200:
                raise InvalidArgument(f"server answered {status_line(response.status)}")
        return _spooled(call, response.read, use)
    finally:
        http.close()


def _spooled(call: Call, read: Callable[[int], bytes], use: Callable[[str], list[str]]) -> list[str]:
    """Copy a stream to a file without a name, which is gone at the end whatever happens, and *use* it."""
    import tempfile

    from wherry.registry.spool import spool_directory

    try:
        with tempfile.TemporaryFile(dir=spool_directory(call.runtime.settings)) as spool:
            while chunk := read(1 << 20):
                spool.write(chunk)
            spool.flush()
            return use(f"/proc/self/fd/{spool.fileno()}")
    except OSError as error:
        raise from_os_error(error, "storing the input") from None

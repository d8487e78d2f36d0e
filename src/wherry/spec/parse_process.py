"""Options of the container's process and life: entrypoint, umask, restart policy, platform, logs."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.jsontext import JSONError, loads
from wherry.spec.container_spec import LogRequest, RestartRequest
from wherry.spec.parse_values import decimal, quote, size_decimal, split_commas, unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_OCTAL = frozenset("01234567")
_PULL = {
    "always": "always", "missing": "missing", "ifmissing": "missing", "ifnotpresent": "missing", "": "missing",
    "newer": "newer", "ifnewer": "newer", "never": "never",
}
IMAGE_VOLUME_MODES = ("anonymous", "tmpfs", "ignore")
RESTART_POLICIES = ("", "no", "on-failure", "always", "unless-stopped")
LOG_DRIVERS = ("journald", "k8s-file", "json-file", "none", "passthrough", "passthrough-tty")
SYSTEMD_MODES = ("true", "false", "always")
SDNOTIFY_MODES = ("conmon", "container", "healthy", "ignore")


def words(text: str) -> list[str]:
    """A command given as a JSON list of strings, or as one word."""
    if text.lstrip()[:1] == "[":
        try:
            value = loads(text)
        except JSONError:
            return [text]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
    return [text]


def umask(text: str) -> str:
    """One to four octal digits."""
    if not 1 <= len(text) <= 4 or not _OCTAL.issuperset(text):
        raise InvalidArgument(f"running container create option: invalid umask string {text}: invalid argument")
    return text


def groups(texts: Sequence[str]) -> list[str]:
    """``--group-add``: group names and ids, or the single word ``keep-groups``."""
    if "keep-groups" in texts and len(texts) > 1:
        raise InvalidArgument("the '--group-add keep-groups' option is not allowed with any other --group-add options")
    return list(texts)


def restart(text: str) -> RestartRequest:
    """``on-failure:3``, ``always``, ``no`` ..."""
    parts = text.split(":")
    if len(parts) > 2:
        raise InvalidArgument("invalid restart policy: may specify retries at most once")
    policy = parts[0]
    if policy.lower() == "never" and len(parts) == 1:
        policy = "no"
    retries = 0
    if len(parts) == 2:
        if policy.lower() != "on-failure":
            raise InvalidArgument("restart policy retries can only be specified with on-failure restart policy")
        try:
            retries = decimal(parts[1])
        except InvalidArgument as error:
            raise InvalidArgument(f"parsing restart policy retry count: {error.message}") from None
        if retries < 0:
            raise InvalidArgument("must specify restart policy retry count as a number greater than 0")
    if policy not in RESTART_POLICIES:
        raise InvalidArgument(
            f"running container create option: {quote(policy)} is not a valid restart policy: invalid argument"
        )
    return RestartRequest(policy=policy, retries=retries)


def pull(text: str) -> str:
    """Pull policy: always, missing, newer or never."""
    try:
        return _PULL[text.lower()]
    except KeyError:
        raise InvalidArgument(f"unsupported pull policy {quote(text)}") from None




def image_volume(text: str) -> str:
    """What becomes of the volumes an image declares: anonymous (also written bind), tmpfs or ignore."""
    if text in ("", "bind"):
        return "anonymous"
    if text not in IMAGE_VOLUME_MODES:
        raise InvalidArgument(
            f"invalid image volume mode {quote(text)} required value: {', '.join(IMAGE_VOLUME_MODES)}"
        )
    return text


def systemd(text: str) -> str:
    value = text.lower()
    if value not in SYSTEMD_MODES:
        raise InvalidArgument(
            f'invalid config provided: --systemd values must be one of "{", ".join(SYSTEMD_MODES)}": '
            "invalid configuration"
        )
    return value


def sdnotify(text: str) -> str:
    if text and text not in SDNOTIFY_MODES:
        raise InvalidArgument(
            f"invalid config provided: invalid argument: invalid sdnotify value {quote(text)}: "
            "must be conmon, container, healthy or ignore"
        )
    return text


def init_container(text: str) -> str:
    if text not in ("always", "once"):
        raise InvalidArgument("init-ctr value must be 'always' or 'once'")
    return text


def log_driver(text: str) -> str:
    """json-file is another name of k8s-file."""
    if text not in LOG_DRIVERS:
        raise InvalidArgument("running container create option: invalid log driver: invalid argument")
    return text


def log_options(texts: Sequence[str]) -> LogRequest:
    """``--log-opt``: driver, path, max-size, max-file, label, tag and words for the driver."""
    values: dict[str, Any] = {}
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgument(f"invalid log option {quote(text)}")
        name = key.lower()
        if name == "driver":
            values["driver"] = log_driver(value)
        elif name == "path":
            values["path"] = value
        elif name == "max-size":
            values["max_size"] = size_decimal(value)
        elif name == "max-file":
            values["max_files"] = unsigned(value, 16)
        elif name == "label":
            label, has_value, content = value.partition("=")
            if not has_value:
                raise InvalidArgument(f"invalid log label {quote(text)}")
            labels[label] = content
        else:
            options[key] = value
    return LogRequest(labels=labels, options=options, **values)


def descriptors(texts: Sequence[str]) -> list[int]:
    """``--preserve-fd``: file descriptor numbers."""
    return [unsigned(part) for text in texts for part in split_commas(text)]


def attach(texts: Sequence[str]) -> list[str]:
    """``--attach``: the streams to attach to, in lower case."""
    streams = [text.lower() for text in texts]
    for text, stream in zip(texts, streams, strict=True):
        if stream not in ("stdin", "stdout", "stderr"):
            raise InvalidArgument(
                f"invalid stream {quote(text)} for --attach - must be one of stdin, stdout, or stderr"
            )
    return streams

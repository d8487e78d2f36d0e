"""Security options: ``--security-opt``, devices and their cgroup rules, secrets."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.spec.container_spec import DeviceRequest, SecretRequest, SecurityRequest
from wherry.spec.parse_values import boolean, integer, quote, unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_MODE = frozenset("rwm")
_CDI = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/")


def options(texts: Sequence[str]) -> SecurityRequest:
    """``--security-opt``: ``key=value``, or ``key:value`` as Docker once wrote it."""
    values: dict[str, Any] = {}
    lists: dict[str, list[str]] = {"label": [], "mask": [], "unmask": []}
    for text in texts:
        key, given, value = text.partition("=" if "=" in text else ":")
        if not given and key != "no-new-privileges":
            raise InvalidArgument(f"invalid --security-opt 1: {quote(text)}")
        if key in ("apparmor", "seccomp"):
            values[key] = value
        elif key == "label" and value == "nested":
            values["label_nested"] = True
        elif key == "label":
            lists["label"].append(value)
        elif key in ("mask", "unmask"):
            lists[key].extend(value.split(":"))
        elif key == "proc-opts":
            values["proc_options"] = value.split(",")
        elif key == "systempaths":
            if value != "unconfined":
                raise InvalidArgument(f"invalid systempaths option {quote(value)}, only `unconfined` is supported")
            lists["unmask"].append("ALL")
        elif key == "no-new-privileges":
            values["no_new_privileges"] = _truth(text, value) if given else True
        else:
            raise InvalidArgument(f"invalid --security-opt 2: {quote(text)}")
    values.update({name: words for name, words in lists.items() if words})
    return SecurityRequest(**values)


def _truth(text: str, value: str) -> bool:
    try:
        return boolean(value)
    except InvalidArgument:
        raise InvalidArgument(f"invalid --security-opt 2: {quote(text)}") from None


def devices(texts: Sequence[str]) -> list[DeviceRequest]:
    """``--device``: ``HOST[:CONTAINER][:PERMISSIONS]`` or a CDI name ``vendor.com/class=name``."""
    return [_device(text) for text in texts]


def _device(text: str) -> DeviceRequest:
    if is_cdi_name(text):
        return DeviceRequest(host=text, cdi=True, text=text)
    parts = text.split(":")
    if len(parts) > 3:
        raise InvalidArgument(f"invalid device specification: {text}")
    host = container = parts[0]
    permissions = "rwm"
    if len(parts) == 3:
        permissions = parts[2]
        if not permissions:
            raise InvalidArgument(f"empty device mode in device specification: {text}")
        if not _is_mode(permissions):
            raise InvalidArgument(f"invalid device mode {quote(permissions)} in device {quote(text)}")
    if len(parts) >= 2 and parts[1]:
        if _is_mode(parts[1]):
            permissions = parts[1]
        elif parts[1].startswith("/"):
            container = parts[1]
        else:
            raise InvalidArgument(f"invalid device mode {quote(parts[1])} in device {quote(text)}")
    return DeviceRequest(host=host, container=container, permissions=permissions, text=text)


def _is_mode(text: str) -> bool:
    return 0 < len(text) == len(set(text)) and _MODE.issuperset(text)


def is_cdi_name(text: str) -> bool:
    """Is *text* a qualified CDI device name (cncf-tags container-device-interface, ``vendor/class=device``)?"""
    kind, equals, device = text.partition("=")
    vendor, slash, class_ = kind.partition("/")
    if not (equals and slash and vendor and class_ and device):
        return False
    return vendor[0].isalpha() and class_[0].isalpha() and device[0].isalnum() and _CDI.issuperset(vendor + class_)


def device_rules(texts: Sequence[str]) -> list[Mapping[str, Any]]:
    """``--device-cgroup-rule``: ``c 1:3 rw`` as OCI device cgroup entries; ``*`` is any number."""
    return [_device_rule(text) for text in texts]


def _device_rule(text: str) -> Mapping[str, Any]:
    words = text.split(" ")
    if len(words) != 3:
        raise InvalidArgument(f"invalid device cgroup rule requires type, major:Minor, and access rules: {quote(text)}")
    kind, numbers, access = words
    if kind not in ("a", "b", "c"):
        raise InvalidArgument(f"invalid device type in device-access-add: {kind}")
    rule: dict[str, Any] = {"allow": True, "type": kind}
    major, colon, minor = numbers.partition(":")
    if major != "*":
        rule["major"] = unsigned(major)
    if colon and minor != "*":
        rule["minor"] = unsigned(minor)
    for letter in access:
        if letter not in _MODE:
            raise InvalidArgument(f"invalid device access in device-access-add: {letter}")
    rule["access"] = access
    return rule


def secrets(texts: Sequence[str]) -> list[SecretRequest]:
    """``--secret``: ``NAME[,type=mount|env][,target=..][,uid=..][,gid=..][,mode=..]``."""
    return [_secret(text) for text in texts]


def _secret(text: str) -> SecretRequest:
    words = text.split(",")
    if len(words) == 1:
        return SecretRequest(source=text)
    values: dict[str, Any] = {}
    if "=" not in words[0]:
        values["source"] = words.pop(0)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(f"option {word} must be in form option=value: parsing secret")
        if name in ("source", "target"):
            values[name] = value
        elif name == "type":
            if "type" in values:
                raise InvalidArgument("cannot set more than one secret type: parsing secret")
            if value not in ("mount", "env"):
                raise InvalidArgument(f"type {value} is invalid: parsing secret")
            values["type"] = value
        elif name in ("mode", "uid", "gid", "UID", "GID"):
            values[name.lower()] = _secret_number(name, value)
        else:
            raise InvalidArgument(f"option {word} invalid: parsing secret")
    if not values.get("source"):
        raise InvalidArgument(f"no source found {text}: parsing secret")
    if values.get("type") == "env" and not values.keys().isdisjoint(("uid", "gid", "mode")):
        raise InvalidArgument("UID, GID, Mode options cannot be set with secret type env: parsing secret")
    return SecretRequest(**values)


def _secret_number(name: str, value: str) -> int:
    shown = "mode" if name == "mode" else name.upper()
    try:
        return integer(value, bits=32, signed=False, base=8 if name == "mode" else 10)
    except InvalidArgument:
        raise InvalidArgument(f"{shown} {value} invalid: parsing secret") from None

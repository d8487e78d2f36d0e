"""``wherry login`` and ``wherry logout``."""

from __future__ import annotations

import os
import sys

from wherry.cli.flags import Flag, UsageError
from wherry.errors import InvalidArgument, NotFound, Unauthorized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.config.auth import Credentials
    from wherry.engine.login import LoginOptions

_AUTHFILE = Flag("authfile", metavar="path", help="File the credentials are kept in")
_COMPAT = Flag("compat-auth-file", metavar="path", help="Docker configuration file the credentials are kept in")
LOGIN = (
    _AUTHFILE,
    Flag("cert-dir", metavar="path", help="Directory with certificates for the registry"),
    _COMPAT,
    Flag("get-login", kind="bool", help="Show who is logged in"),
    Flag("password", "p", metavar="password", help="Password for the registry"),
    Flag("password-stdin", kind="bool", help="Read the password from standard input"),
    Flag("secret", metavar="name", help="Secret that holds the password"),
    Flag("tls-verify", kind="bool", help="Insist on HTTPS and valid certificates"),
    Flag("username", "u", metavar="username", help="User name for the registry"),
    Flag("verbose", "v", "bool", "Show where the credentials are kept"),
)
LOGOUT = (
    Flag("all", "a", "bool", "Forget the credentials for all registries"),
    _AUTHFILE,
    _COMPAT,
)


def login(call: Call) -> int:
    """Check credentials with a registry and keep them."""
    from wherry.engine import login as engine

    flags = call.flags
    options = _options(call)
    registry = call.args[0] if call.args else engine.default_registry(call.runtime)
    if flags.on("get-login"):
        found = engine.known(call.runtime, registry, options)
        if found is None:
            raise Unauthorized(f"not logged into {registry}")
        call.out(found.username + "\n")
        return 0
    if flags.on("password-stdin"):
        if flags.given("password"):
            raise UsageError("Can't specify both --password-stdin and --password", see=False)
        if not flags.given("username"):
            raise UsageError("Must provide --username with --password-stdin", see=False)
    old = engine.known(call.runtime, registry, options)
    if old is not None and not any(flags.given(name) for name in ("username", "password", "password-stdin", "secret")):
        call.out(f"Authenticating with existing credentials for {registry}\n")
        try:
            engine.check(call.runtime, registry, old, options)
        except Unauthorized:
            call.out("Existing credentials are invalid, please enter valid username and password\n")
        else:
            call.out(f"Existing credentials are valid. Already logged in to {registry}\n")
            return 0
    where = engine.login(call.runtime, registry, _ask(call, old), options)
    if flags.on("verbose"):
        call.out(f"Used: {where}\n")
    call.out("Login Succeeded!\n")
    return 0


def logout(call: Call) -> int:
    """Forget credentials."""
    from wherry.engine import login as engine

    options = _options(call)
    if options.authfile and not os.path.exists(options.authfile):
        raise NotFound(f"checking authfile: stat {options.authfile}: no such file or directory")
    if call.flags.on("all"):
        if call.args:
            raise UsageError("--all takes no arguments", see=False)
        engine.logout_all(call.runtime, options)
        call.out("Removed login credentials for all registries\n")
        return 0
    registry = call.args[0] if call.args else engine.default_registry(call.runtime)
    engine.logout(call.runtime, registry, options)
    call.out(f"Removed login credentials for {registry}\n")
    return 0


def _options(call: Call) -> LoginOptions:
    from wherry.engine.login import LoginOptions

    flags = call.flags
    if flags.given("authfile") and flags.given("compat-auth-file"):
        raise InvalidArgument(
            "options for paths to the credential file and to the Docker-compatible credential file can not be set "
            "simultaneously"
        )
    return LoginOptions(
        authfile=flags.text("authfile"),
        compat_file=flags.text("compat-auth-file"),
        cert_dir=flags.text("cert-dir") if flags.flags.owns("cert-dir") else "",
        tls_verify=flags.on("tls-verify") if flags.given("tls-verify") else None,
    )


def _ask(call: Call, old: Credentials | None) -> Credentials:
    """User and password from the flags, standard input or the person at the terminal."""
    from wherry.config.auth import Credentials

    flags = call.flags
    if flags.given("secret"):
        return _from_secret(call)
    user = flags.text("username") or _prompt_user(old.username if old is not None else "")
    if flags.on("password-stdin"):
        password = sys.stdin.read().rstrip("\r\n")
    elif flags.given("password"):
        password = flags.text("password")
    else:
        password = _prompt_password()
    return Credentials(username=user, password=password)


def _from_secret(call: Call) -> Credentials:
    """``--secret``: the password is in one; without ``--username`` its name is the user's."""
    from wherry.config.auth import Credentials

    flags = call.flags
    if flags.given("password"):
        raise UsageError("--secret can not be used with --password options", see=False)
    name = flags.text("secret")
    password = call.runtime.secrets.data(name).decode(errors="surrogateescape")
    return Credentials(username=flags.text("username") or name, password=password)


def _prompt_user(default: str) -> str:
    sys.stdout.write(f"Username ({default}): " if default else "Username: ")
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise InvalidArgument("getting username and password: reading username: EOF")
    return line.strip() or default


def _prompt_password() -> str:
    from wherry.sys.terminal import is_terminal

    if is_terminal(0):
        import getpass

        return getpass.getpass("Password: ")
    sys.stdout.write("Password: ")
    sys.stdout.flush()
    line = sys.stdin.readline()
    sys.stdout.write("\n")
    if not line:
        raise InvalidArgument("getting username and password: reading password: EOF")
    return line.rstrip("\r\n")

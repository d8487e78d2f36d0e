"""login and logout: credentials checked with the registry and kept."""

from __future__ import annotations

from wherry.config.auth import Credentials, credentials
from wherry.config.logins import LoginFile, check_key
from wherry.config.registries import load as load_registries
from wherry.errors import InvalidArgument, RegistryError, Unauthorized
from wherry.model.record import Record
from wherry.model.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


class LoginOptions(Record):
    """Where credentials are kept and how the registry is reached. ``None`` for *tls_verify*: registries.conf."""

    authfile: str = ""
    compat_file: str = ""
    cert_dir: str = ""
    tls_verify: bool | None = None


def default_registry(runtime: Runtime) -> str:
    """The registry meant when none is named: the first to search. Raises ``InvalidArgument``."""
    search = load_registries(runtime.settings).unqualified_search
    if not search:
        raise InvalidArgument("no registries found in registries.conf, a registry must be provided")
    return search[0]


def known(runtime: Runtime, registry: str, options: LoginOptions) -> Credentials | None:
    """The credentials kept for ``registry[/path]``, None when there are none."""
    key, host = check_key(registry)
    found = credentials(
        runtime.settings, host, key.removeprefix(host).strip("/"), options.compat_file or options.authfile
    ) if _readable(options) else None
    return found if found is not None and (found.username or found.identity_token) else None


def _readable(options: LoginOptions) -> bool:
    """A file that is named need not exist before the first login."""
    import os

    named = options.compat_file or options.authfile
    return not named or os.path.exists(named)


def check(runtime: Runtime, registry: str, given: Credentials, options: LoginOptions) -> None:
    """Ask the registry. Raises ``Unauthorized`` when it refuses, ``RegistryError`` when it does not answer."""
    from wherry.registry.connect import open_client
    from wherry.registry.failures import AccessRefused

    host = check_key(registry)[1]
    registries = load_registries(runtime.settings)
    insecure = registries.insecure(Reference(domain=host, path="x"))
    client = open_client(
        runtime.settings, host, credentials=given, cert_dir=options.cert_dir,
        insecure=insecure if options.tls_verify is None else not options.tls_verify,
    )
    try:
        client.check_credentials()
    except AccessRefused as error:
        raise Unauthorized(f'logging into "{registry}": invalid username/password') from error
    except RegistryError as error:
        error.message = f'authenticating creds for "{registry}": {error.message}'
        raise
    finally:
        client.close()


def login(runtime: Runtime, registry: str, given: Credentials, options: LoginOptions) -> str:
    """Check and keep credentials; returns where they are kept."""
    check(runtime, registry, given, options)
    return LoginFile(runtime.settings, options.authfile, options.compat_file).store(check_key(registry)[0], given)


def logout(runtime: Runtime, registry: str, options: LoginOptions) -> None:
    """Forget credentials. Raises ``Unauthorized`` when there are none."""
    key = check_key(registry)[0]
    if not LoginFile(runtime.settings, options.authfile, options.compat_file).remove(key):
        if known(runtime, registry, options) is not None:
            raise Unauthorized(
                f"not logged into {registry} with current tool. Existing credentials were established via another tool "
                "(docker) or file"
            )
        raise Unauthorized(f"not logged into {registry}")


def logout_all(runtime: Runtime, options: LoginOptions) -> None:
    """Forget all credentials the file (and the helpers it names) keeps."""
    LoginFile(runtime.settings, options.authfile, options.compat_file).remove_all()

"""TLS settings of a registry: certs.d directories, client certificates, verification (containers-certs.d(5))."""

from __future__ import annotations

import os
import ssl

from wherry.errors import InvalidArgument, from_os_error

#: Searched for ``HOST[:PORT]/``; the first directory that exists is the only one used.
_SYSTEM_DIRECTORIES = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def directory(host: str, home: str, cert_dir: str = "") -> str:
    """The directory with the certificates for *host* (``host[:port]``), empty when there is none.

    *cert_dir* (``--cert-dir``) is taken as it is and replaces the search.
    """
    if cert_dir:
        return cert_dir
    candidates = list(_SYSTEM_DIRECTORIES)
    if home:
        candidates.insert(0, os.path.join(home, ".config/containers/certs.d"))
    for base in candidates:
        path = os.path.join(base, host)
        if os.path.isdir(path):
            return path
    return ""


def context(certificates: str, *, insecure: bool) -> ssl.SSLContext:
    """A client context trusting the system's authorities and those in the directory *certificates*.

    ``*.crt`` are authorities, ``*.cert`` with ``*.key`` client certificates.  With *insecure* the server's certificate
    is not checked at all.  Raises :class:`InvalidArgument` for a certificate without its key and the other way round.
    """
    if insecure:
        # Nothing to compare with, so the authorities, which take long to load, are left out.
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made = ssl.create_default_context()
        # Python 3.13 began to demand extensions that many a private authority lacks and no Go client asks for.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificates:
        _load(made, certificates)
    return made


def _load(made: ssl.SSLContext, path: str) -> None:
    try:
        names = sorted(os.listdir(path))
    except FileNotFoundError:
        return
    except PermissionError:
        return      # as for any certs.d of somebody else
    except OSError as error:
        raise from_os_error(error, "reading certificates") from error
    for name in names:
        base, extension = os.path.splitext(name)
        full = os.path.join(path, name)
        if extension == ".crt":
            _load_authority(made, full)
        elif extension == ".cert":
            if base + ".key" not in names:
                raise InvalidArgument(
                    f"missing key {base}.key for client certificate {name}. "
                    "Note that CA certificates should use the extension .crt"
                )
            _load_pair(made, full, os.path.join(path, base + ".key"))
        elif extension == ".key" and base + ".cert" not in names:
            raise InvalidArgument(f"missing client certificate {base}.cert for key {name}")


def _load_authority(made: ssl.SSLContext, path: str) -> None:
    try:
        made.load_verify_locations(cafile=path)
    except FileNotFoundError:
        return      # removed since it was listed
    except ssl.SSLError:
        return      # not PEM: what cannot be parsed adds no trust
    except OSError as error:
        raise from_os_error(error, "reading certificate") from error


def _load_pair(made: ssl.SSLContext, certificate: str, key: str) -> None:
    def no_password() -> str:
        raise InvalidArgument(f"client key {key} is encrypted, which is not supported")

    try:
        made.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        raise InvalidArgument(f"loading client certificate {certificate}: {error.reason or error}") from error
    except OSError as error:
        raise from_os_error(error, "reading client certificate") from error

"""Certificates, keys and passwords: from files only, and not from files that everybody can read."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from edgemon.config import Mqtt, Tls
from edgemon.errors import DeliveryError


def _checked(path: Path, what: str, *, secret: bool) -> Path:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DeliveryError(f"{path}: {what} cannot be read: {error.strerror}; give a file") from error
    if secret and mode & (stat.S_IROTH | stat.S_IWOTH):
        raise DeliveryError(f"{path}: {what} is readable by everybody (mode {mode & 0o777:o}); chmod 600 it")
    return path


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 or later that trusts only the given authority, checks the broker's name and shows our certificate.

    Raises:
        DeliveryError: a file is missing, no certificate or key, or a private key that everybody can read.
    """
    try:
        context = ssl.create_default_context(cafile=_checked(tls.ca_file, "the authority's certificate", secret=False))
        if tls.cert_file is not None and tls.key_file is not None:
            key = _checked(tls.key_file, "the private key", secret=True)
            context.load_cert_chain(_checked(tls.cert_file, "the certificate", secret=False), key)
    except ssl.SSLError as error:
        files = ", ".join(str(path) for path in (tls.ca_file, tls.cert_file, tls.key_file) if path)
        raise DeliveryError(f"{files}: not a PEM certificate with its key: {error.reason or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def password(settings: Mqtt) -> str | None:
    """The password in the password file, without its line end.

    Raises:
        DeliveryError: the file cannot be read, or everybody can read it.
    """
    return None if settings.password_file is None else secret(settings.password_file)


def secret(path: Path) -> str:
    """What a password file holds, without its line end.

    Raises:
        DeliveryError: the file cannot be read, or everybody can read it.
    """
    _checked(path, "the password file", secret=True)
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(f"{path}: the password file cannot be read: {error}") from error

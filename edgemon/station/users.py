"""`edgemon station user ...`: local users, each change in the audit log."""

from __future__ import annotations

import getpass
from pathlib import Path

from edgemon.errors import ConfigError
from edgemon.messages.credentials import secret
from edgemon.station.nouns import Role, wall_ms
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store
from edgemon.station.store.people import Act

COMMAND_LINE = "command line"


def change(settings: StationConfig, act: str, name: str, *, role: Role | None, password_file: Path | None) -> int:
    """Do `act` (add, role, password, disable, enable) to a user.

    Raises:
        ConfigError: there is no such user, or there is one already, or the password does not do.
        DeliveryError: the password file cannot be read, or everybody can read it; or the store cannot be used.
    """
    password = _password(password_file) if act in ("add", "password") else ""
    store, now_ms = Store.open(settings.store), wall_ms()
    row = Act(now_ms, COMMAND_LINE, f"user {act}", None, f"{name} {role or ''}".strip())
    try:
        if act == "add":
            store.add_account(name, password, role or "view", now_ms, row)
        elif act == "role" and role is not None:
            store.set_role(name, role, row)
        elif act == "password":
            store.set_password(name, password, row)
        elif act == "enable":
            store.enable(name, row)
        else:
            store.disable(name, row)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    finally:
        store.close()
    return 0


def _password(file: Path | None) -> str:
    if file is not None:
        return secret(file)
    try:
        password, again = getpass.getpass("password: "), getpass.getpass("again: ")
    except EOFError as error:
        raise ConfigError("no password was given; type it, or give --password-file") from error
    if password != again:
        raise ConfigError("the two passwords differ")
    return password

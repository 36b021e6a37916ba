"""Accounts with argon2, logins, the audit log, and which bed's label is where."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Connection, Row, delete, insert, select, update

from edgemon.station.nouns import Account, Assignment, AuditRow, Auth, Role, Who
from edgemon.station.store import schema as t
from edgemon.station.store.engine import Base

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 256
LONGEST_NAME = 64
HASHER = PasswordHasher()
NOBODYS_HASH = HASHER.hash(secrets.token_hex(16))  # verified where there is no such user, which takes as long


@dataclass(frozen=True, slots=True)
class Act:
    """A row of the audit log to be: when, who, what, where, and more of it."""

    at_ms: int
    who: str
    what: str
    place: str | None
    detail: str


def write_down(connection: Connection, act: Act) -> None:
    """Write the row of an act in the transaction of the act itself, cut to what a row may hold and printable."""
    place = None if act.place is None else _printable(act.place[:256])
    row = {"at_ms": act.at_ms, "who": _printable(act.who[:128]), "what": act.what, "place": place}
    connection.execute(insert(t.audit), row | {"detail": _printable(act.detail[:200])})


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


class People(Base):
    """The part of `Store` that knows people; every method may raise `StoreUnavailable`.

    Each change of an account and its `act` in the audit log are one transaction.
    """

    def add_account(self, name: str, password: str, role: Role, now_ms: int, act: Act | None = None) -> None:
        """A new local user.

        Raises:
            ValueError: the name is taken or not a name, or the password is too short or too long.
        """
        if not name.isprintable() or not name.strip() or len(name) > LONGEST_NAME:
            raise ValueError(f"a user's name is 1 to {LONGEST_NAME} printable characters")
        hashed = _hash(password)
        with self._writing() as (connection, _):
            if _account(connection, name) is not None:
                raise ValueError(f"there is a user {name} already")
            made = {"name": name, "hash": hashed, "role": role, "created_ms": now_ms, "disabled_ms": None}
            connection.execute(insert(t.account), made)
            if act is not None:
                write_down(connection, act)

    def set_role(self, name: str, role: Role, act: Act) -> None:
        """Give a local user another role. ValueError: there is no such user."""
        self._change_account(name, act, role=role)

    def set_password(self, name: str, password: str, act: Act) -> None:
        """Give a local user another password and end his logins. ValueError: no such user, or not a password."""
        self._change_account(name, act, ends_logins=True, hash=_hash(password))

    def disable(self, name: str, act: Act) -> None:
        """Let a local user in no more, and end his logins. ValueError: there is no such user."""
        self._change_account(name, act, ends_logins=True, disabled_ms=act.at_ms)

    def enable(self, name: str, act: Act) -> None:
        """Let a local user in again; he must log in anew. ValueError: there is no such user."""
        self._change_account(name, act, ends_logins=True, disabled_ms=None)

    def accounts(self) -> list[Account]:
        """All local users by name."""
        with self._reading() as connection:
            rows = connection.execute(select(t.account).order_by(t.account.c.name)).all()
        return [Account(row.name, row.role, row.created_ms, row.disabled_ms) for row in rows]

    def verify(self, name: str, password: str) -> Account | None:
        """The local user of this password; takes as long where there is none."""
        with self._reading() as connection:
            row = _account(connection, name) if name.isprintable() else None  # PostgreSQL takes no NUL
        try:
            HASHER.verify(row.hash if row is not None else NOBODYS_HASH, password[:LONGEST_PASSWORD])
        except VerificationError:
            return None
        if row is None or row.disabled_ms is not None:
            return None
        return Account(row.name, row.role, row.created_ms, None)

    def login(self, name: str, role: Role, auth: Auth, now_ms: int, expires_ms: int) -> str:
        """Begin a login; returns the token of its cookie, of which only a hash is kept."""
        token = secrets.token_urlsafe(32)
        made = {
            "token_hash": _token_hash(token), "name": name, "role": role, "auth": auth,
            "csrf": secrets.token_urlsafe(24), "created_ms": now_ms, "expires_ms": expires_ms,
        }  # fmt: skip
        with self._writing() as (connection, _):
            connection.execute(insert(t.login), made)
        return token

    def who(self, token: str, now_ms: int) -> Who | None:
        """Who holds this token; of a local user the role that he has now, and None once he is disabled."""
        with self._reading() as connection:
            wanted = (t.login.c.token_hash == _token_hash(token), t.login.c.expires_ms > now_ms)
            row = connection.execute(select(t.login).where(*wanted)).one_or_none()
            account = _account(connection, row.name) if row is not None and row.auth == "local" else None
        if row is None or (row.auth == "local" and (account is None or account.disabled_ms is not None)):
            return None
        role = account.role if account is not None else row.role
        return Who(row.name, role, row.csrf, row.auth, row.expires_ms)

    def logout(self, token: str) -> None:
        """End a login."""
        with self._writing() as (connection, _):
            connection.execute(delete(t.login).where(t.login.c.token_hash == _token_hash(token)))

    def audit(self, who: str, what: str, place: str | None, detail: str, now_ms: int) -> None:
        """Write down an act, for good: triggers refuse to change or delete it."""
        with self._writing() as (connection, _):
            write_down(connection, Act(now_ms, who, what, place, detail))

    def audit_rows(self, before: int | None = None, limit: int = 200) -> list[AuditRow]:
        """The newest acts first, those numbered below `before`."""
        wanted = select(t.audit).order_by(t.audit.c.n.desc()).limit(limit)
        with self._reading() as connection:
            rows = connection.execute(wanted if before is None else wanted.where(t.audit.c.n < before)).all()
        return [AuditRow(row.n, row.at_ms, row.who, row.what, row.place, row.detail) for row in rows]

    def assign(self, label: str, place: str, by: str, now_ms: int) -> None:
        """Put a label on a place; both leave what they had before. Who did it stands in the audit log."""
        with self._writing() as (connection, change):
            held = (t.assignment.c.label == label) | (t.assignment.c.place == place)
            ends = update(t.assignment).where(held, t.assignment.c.to_ms.is_(None))
            connection.execute(ends.values(to_ms=now_ms, change=change))
            row = {"label": label, "place": place, "from_ms": now_ms, "to_ms": None, "by": by, "change": change}
            connection.execute(insert(t.assignment), row)
            write_down(connection, Act(now_ms, by, "assign", place, label))

    def unassign(self, place: str, by: str, now_ms: int) -> bool:
        """Take the label off a place; False where it has none. Who did it stands in the audit log."""
        with self._writing() as (connection, change):
            held = (t.assignment.c.place == place, t.assignment.c.to_ms.is_(None))
            done = connection.execute(update(t.assignment).where(*held).values(to_ms=now_ms, change=change))
            if done.rowcount:
                write_down(connection, Act(now_ms, by, "unassign", place, ""))
            return done.rowcount > 0

    def assignments(self, *, ended: bool = False) -> list[Assignment]:
        """Those that stand, or with `ended` all, newest first."""
        wanted = select(t.assignment).order_by(t.assignment.c.n.desc())
        with self._reading() as connection:
            rows = connection.execute(wanted if ended else wanted.where(t.assignment.c.to_ms.is_(None))).all()
        return [Assignment(row.n, row.label, row.place, row.from_ms, row.to_ms, row.by) for row in rows]

    def _change_account(self, name: str, act: Act, *, ends_logins: bool = False, **values: object) -> None:
        with self._writing() as (connection, _):
            if not connection.execute(update(t.account).where(t.account.c.name == name).values(**values)).rowcount:
                raise ValueError(f"there is no user {name}")
            if ends_logins:
                connection.execute(delete(t.login).where(t.login.c.name == name, t.login.c.auth == "local"))
            write_down(connection, act)


def _account(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(t.account).where(t.account.c.name == name)).one_or_none()


def _hash(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ValueError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return HASHER.hash(password)


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

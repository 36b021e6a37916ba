"""Accounts with argon2, logins, the audit log, and which bed's label is where."""

from __future__ import annotations

from collections.abc import Sequence

from edgemon.station.nouns import Account, Assignment, AuditRow, Auth, Role, Who


class People:
    """The part of `Store` that knows people; every method may raise `StoreUnavailable`."""

    def add_account(self, name: str, password: str, role: Role, now_ms: int) -> None:
        """A new local user.

        Raises:
            ValueError: the name is taken or not a name, or the password is shorter than 8 characters.
        """
        raise NotImplementedError

    def set_role(self, name: str, role: Role) -> None:
        """Give a local user another role. ValueError: there is no such user."""
        raise NotImplementedError

    def set_password(self, name: str, password: str) -> None:
        """Give a local user another password and end his logins. ValueError: no such user, or too short."""
        raise NotImplementedError

    def disable(self, name: str, now_ms: int) -> None:
        """Let a local user in no more, and end his logins. ValueError: there is no such user."""
        raise NotImplementedError

    def accounts(self) -> list[Account]:
        """All local users by name."""
        raise NotImplementedError

    def verify(self, name: str, password: str) -> Account | None:
        """The local user of this password; takes as long where there is none."""
        raise NotImplementedError

    def login(self, name: str, role: Role, auth: Auth, now_ms: int, expires_ms: int) -> str:
        """Begin a login; returns the token of its cookie, of which only a hash is kept."""
        raise NotImplementedError

    def who(self, token: str, now_ms: int) -> Who | None:
        """Who holds this token; of a local user the role that he has now, and None once he is disabled."""
        raise NotImplementedError

    def logout(self, token: str) -> None:
        """End a login."""
        raise NotImplementedError

    def audit(self, who: str, what: str, place: str | None, detail: str, now_ms: int) -> None:
        """Write down an act, for good: triggers refuse to change or delete it."""
        raise NotImplementedError

    def audit_rows(self, before: int | None = None, limit: int = 200) -> list[AuditRow]:
        """The newest acts first, those numbered below `before`."""
        raise NotImplementedError

    def assign(self, label: str, place: str, by: str, now_ms: int) -> None:
        """Put a label on a place; both leave what they had before."""
        raise NotImplementedError

    def unassign(self, place: str, by: str, now_ms: int) -> bool:
        """Take the label off a place; False where it has none."""
        raise NotImplementedError

    def assignments(self, *, ended: bool = False) -> Sequence[Assignment]:
        """Those that stand, or with `ended` all, newest first."""
        raise NotImplementedError

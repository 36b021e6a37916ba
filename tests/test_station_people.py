"""Accounts, logins, and labels of beds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from heard import NOW_MS, PLACE
from sqlalchemy import select

from edgemon.station.store import Store
from edgemon.station.store import schema as t

PASSWORD = "correct horse"  # noqa: S105 - of nobody


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/station.db")
    opened.add_account("nina", PASSWORD, "acknowledge", NOW_MS)
    yield opened
    opened.close()


def test_only_the_right_password_is_the_user(store: Store) -> None:
    found = store.verify("nina", PASSWORD)
    assert found is not None
    assert found.role == "acknowledge"
    assert [store.verify(*wrong) for wrong in (("nina", "wrong horse"), ("nobody", PASSWORD))] == [None, None]


def test_neither_passwords_nor_tokens_are_kept(store: Store) -> None:
    token = store.login("nina", "acknowledge", "local", NOW_MS, NOW_MS + 1000)
    with store._reading() as connection:
        kept = [*connection.execute(select(t.account)), *connection.execute(select(t.login))]
    assert PASSWORD not in repr(kept)
    assert token not in repr(kept)
    assert "$argon2id$" in repr(kept)


def test_a_login_ends_in_its_time_or_when_it_is_ended(store: Store) -> None:
    token = store.login("nina", "acknowledge", "local", NOW_MS, NOW_MS + 1000)
    who = store.who(token, NOW_MS)
    assert who is not None
    assert (who.name, who.may("view"), who.may("acknowledge"), who.may("administer")) == ("nina", True, True, False)
    assert store.who(token, NOW_MS + 1000) is None
    store.logout(token)
    assert store.who(token, NOW_MS) is None
    assert store.who("made up", NOW_MS) is None


def test_a_user_who_is_disabled_is_out_at_once_and_another_role_holds_at_once(store: Store) -> None:
    token = store.login("nina", "acknowledge", "local", NOW_MS, NOW_MS + 1000)
    store.set_role("nina", "view")
    assert store.who(token, NOW_MS).role == "view"  # type: ignore[union-attr]
    store.disable("nina", NOW_MS)
    assert (store.who(token, NOW_MS), store.verify("nina", PASSWORD)) == (None, None)
    assert store.accounts()[0].disabled_ms == NOW_MS


def test_another_password_ends_what_the_old_one_began(store: Store) -> None:
    token = store.login("nina", "acknowledge", "local", NOW_MS, NOW_MS + 1000)
    store.set_password("nina", "another horse")
    assert (store.who(token, NOW_MS), store.verify("nina", PASSWORD)) == (None, None)
    assert store.verify("nina", "another horse") is not None


def test_a_login_of_the_hospitals_own_needs_no_account(store: Store) -> None:
    token = store.login("nora@ward", "administer", "oidc", NOW_MS, NOW_MS + 1000)
    assert store.who(token, NOW_MS).role == "administer"  # type: ignore[union-attr]


def test_what_is_no_account_is_refused(store: Store) -> None:
    for name in ("nina", "", "a\nb", "x" * 65):
        with pytest.raises(ValueError, match="user"):
            store.add_account(name, PASSWORD, "view", NOW_MS)
    with pytest.raises(ValueError, match="8 to 256 characters"):
        store.add_account("nora", "short", "view", NOW_MS)
    with pytest.raises(ValueError, match="no user"):
        store.set_role("nobody", "view")


def test_a_label_is_at_one_place_and_a_place_has_one_label(store: Store) -> None:
    other = "site/nicu/cot-pi-2/cot-1"
    store.assign("Cot 7", PLACE, "nina", NOW_MS)
    store.assign("Cot 7", other, "nina", NOW_MS + 1)
    store.assign("Cot 8", other, "nina", NOW_MS + 2)
    assert [(row.label, row.place) for row in store.assignments()] == [("Cot 8", other)]
    assert [(row.label, row.to_ms) for row in store.assignments(ended=True)] == [
        ("Cot 8", None), ("Cot 7", NOW_MS + 2), ("Cot 7", NOW_MS + 1),
    ]  # fmt: skip
    assert (store.unassign(other, "nina", NOW_MS + 3), store.unassign(other, "nina", NOW_MS + 4)) == (True, False)
    assert store.assignments() == []


def test_the_audit_log_is_read_from_its_end(store: Store) -> None:
    for number in range(5):
        store.audit("nina", f"act {number}", PLACE, "", NOW_MS + number)
    newest = store.audit_rows(limit=2)
    assert [row.what for row in newest] == ["act 4", "act 3"]
    assert [row.what for row in store.audit_rows(before=newest[-1].n, limit=2)] == ["act 2", "act 1"]

"""Accounts, logins, and labels of beds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from heard import NOW_MS, PLACE
from postgres import Server
from sqlalchemy import event, select, text

from edgemon.errors import StoreUnavailable
from edgemon.records import Priority
from edgemon.station import users
from edgemon.station.nouns import Notice
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store, Unfit
from edgemon.station.store import schema as t
from edgemon.station.store.people import Act

PASSWORD = "correct horse"  # noqa: S105 - of nobody
ACT = Act(NOW_MS, "ada", "an act", None, "nina")


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
    store.set_role("nina", "view", ACT)
    assert store.who(token, NOW_MS).role == "view"  # type: ignore[union-attr]
    store.disable("nina", ACT)
    assert (store.who(token, NOW_MS), store.verify("nina", PASSWORD)) == (None, None)
    assert store.accounts()[0].disabled_ms == NOW_MS


def test_a_user_who_is_enabled_again_logs_in_anew(store: Store) -> None:
    store.disable("nina", ACT)
    token = store.login("nina", "acknowledge", "local", NOW_MS, NOW_MS + 1000)  # the password was right just before
    store.enable("nina", ACT)
    assert store.accounts()[0].disabled_ms is None
    assert store.verify("nina", PASSWORD) is not None
    assert store.who(token, NOW_MS) is None
    with pytest.raises(ValueError, match="no user"):
        store.enable("nobody", ACT)


def test_the_command_line_changes_users_and_says_so(store: Store, tmp_path: Path) -> None:
    settings = StationConfig(store_url=f"sqlite:///{tmp_path}/station.db")
    for act in ("disable", "enable"):
        assert users.change(settings, act, "nina", role=None, password_file=None) == 0
        assert (store.accounts()[0].disabled_ms is None) == (act == "enable")
    assert users.change(settings, "role", "nina", role="view", password_file=None) == 0
    rows = [(row.who, row.what, row.place, row.detail) for row in store.audit_rows()]
    assert rows == [
        ("command line", "user role", None, "nina view"),
        ("command line", "user enable", None, "nina"),
        ("command line", "user disable", None, "nina"),
    ]


def test_another_password_ends_what_the_old_one_began(store: Store) -> None:
    token = store.login("nina", "acknowledge", "local", NOW_MS, NOW_MS + 1000)
    store.set_password("nina", "another horse", ACT)
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
        store.set_role("nobody", "view", ACT)
    assert store.audit_rows() == []


ACTS: dict[str, Callable[[Store], object]] = {
    "add": lambda store: store.add_account("nora", PASSWORD, "view", NOW_MS, ACT),
    "role": lambda store: store.set_role("nina", "view", ACT),
    "password": lambda store: store.set_password("nina", "another horse", ACT),
    "disable": lambda store: store.disable("nina", ACT),
    "enable": lambda store: store.enable("nina", ACT),
    "assign": lambda store: store.assign("Cot 7", PLACE, "ada", NOW_MS),
    "acknowledge": lambda store: store.acknowledge_notice(PLACE, "no_data", "ada", NOW_MS),
}


@pytest.mark.parametrize("name", ACTS)
def test_nothing_is_done_that_the_audit_log_does_not_tell(store: Store, name: str) -> None:
    store.change_notices([Notice(PLACE, "no_data", Priority.LOW, NOW_MS)], [], NOW_MS)
    store.login("nina", "acknowledge", "local", NOW_MS, NOW_MS + 1000)
    with store.engine.begin() as connection:
        connection.execute(text("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"))
    before = everything(store)
    with pytest.raises(Unfit, match="full"):
        ACTS[name](store)
    assert everything(store) == before
    with store.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER full"))
    ACTS[name](store)
    assert everything(store) != before
    assert len(store.audit_rows()) == 1


def everything(store: Store) -> list[list[tuple[object, ...]]]:
    with store._reading() as connection:
        return [[tuple(row) for row in connection.execute(select(table))] for table in t.metadata.sorted_tables]


def test_the_acts_of_the_station_have_their_words(store: Store) -> None:
    store.change_notices([Notice(PLACE, "no_data", Priority.LOW, NOW_MS)], [], NOW_MS)
    for _ in range(2):
        store.acknowledge_notice(PLACE, "no_data", "ada", NOW_MS)
    store.assign("Cot 7", PLACE, "ada", NOW_MS)
    store.unassign(PLACE, "ada", NOW_MS)
    assert [(row.who, row.what, row.place, row.detail) for row in store.audit_rows()] == [
        ("ada", "unassign", PLACE, ""), ("ada", "assign", PLACE, "Cot 7"), ("ada", "acknowledge", PLACE, "no_data"),
    ]  # fmt: skip


def test_what_people_type_fits_every_store(postgres: Server) -> None:
    store = Store.open(StationConfig(store_url=postgres.database()).store)
    try:
        assert store.verify("ni\0na", PASSWORD) is None
        store.audit("ada", "refused", "/api/\0", "x\ny" * 200, NOW_MS)
        [row] = store.audit_rows()
        assert (row.place, row.detail[:4], len(row.detail)) == ("/api/?", "x?yx", 200)
    finally:
        store.close()


def test_to_be_ready_changes_nothing(store: Store) -> None:
    before = everything(store)
    store.ready()
    assert everything(store) == before
    store.audit("ada", "act", None, "", NOW_MS)  # it holds nobody up
    event.listen(store.engine, "connect", lambda connection, _record: connection.execute("PRAGMA query_only=ON"))
    store.engine.dispose()
    with pytest.raises(StoreUnavailable, match="readonly"):
        store.ready()


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

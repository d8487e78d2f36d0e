"""The database file: making, opening, refusing, closing."""

from __future__ import annotations

import _sqlite3
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from wherry import errors
from wherry.model.container import ContainerState
from wherry.model.event import Event
from wherry.state import migrations, schema
from wherry.state.database import VERSION
from wherry.state.rows import CONFIG_COLUMNS, POD_COLUMNS, STATE_COLUMNS
from wherry.state.sqlite import SqliteState
from wherry.testing.state_builders import add, container, full

IDENTITY = {"graph root": "/var/lib/containers/storage", "run root": "/run/containers/storage"}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "wherry" / "state.db")


def in_child(work) -> None:
    """Run *work* in a forked process and check that it succeeds."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class TestMaking:
    def test_nothing_happens_before_the_first_use(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        state.close()
        assert not os.path.exists(os.path.dirname(path))

    def test_only_the_owner_may_read(self, path: str) -> None:
        add(SqliteState(path, identity=IDENTITY))
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        modes = {name: stat.S_IMODE(os.stat(os.path.join(os.path.dirname(path), name)).st_mode)
                 for name in os.listdir(os.path.dirname(path)) if not name.endswith(".lock")}
        assert set(modes) == {"state.db", "state.db-wal", "state.db-shm"}
        assert set(modes.values()) == {0o600}

    def test_a_write_ahead_log_is_used(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        assert state._rows("PRAGMA journal_mode") == [("wal",)]
        assert state._rows("PRAGMA foreign_keys") == [(1,)]
        assert state._rows("PRAGMA synchronous") == [(1,)]

    def test_strange_paths(self, tmp_path: Path) -> None:
        path = os.fsdecode(os.fsencode(tmp_path) + b"/50%25 ?x=1#y \xff/state.db")
        add(SqliteState(path, identity=IDENTITY))
        assert os.path.exists(path)
        in_child(lambda: SqliteState(path, identity=IDENTITY).container_config(full("c1")))

    def test_left_overs_of_a_dead_maker_are_no_hindrance(self, path: str) -> None:
        os.makedirs(os.path.dirname(path))
        for suffix in ("", "-wal", "-journal"):
            Path(path + ".new" + suffix).write_bytes(b"half a database")
        add(SqliteState(path, identity=IDENTITY))
        assert not [name for name in os.listdir(os.path.dirname(path)) if ".new" in name]

    def test_a_failure_leaves_nothing(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schema, "TABLES", (*schema.TABLES, "CREATE TABLE containers(x)"))
        with pytest.raises(errors.WherryError, match="table containers already exists"):
            SqliteState(path, identity=IDENTITY).container_rows()
        assert os.listdir(os.path.dirname(path)) == ["state.db.lock"]

    def test_the_tables_have_the_columns_of_the_rows(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        for table, columns in (
            ("containers", ["n", *CONFIG_COLUMNS, *STATE_COLUMNS, "state"]),
            ("pods", ["n", *POD_COLUMNS, "state", "config"]),
        ):
            assert [row[1] for row in state._rows(f"PRAGMA table_info({table})")] == columns


class TestRefusing:
    def test_another_identity(self, path: str) -> None:
        SqliteState(path, identity=IDENTITY).container_rows()
        other = SqliteState(path, identity={**IDENTITY, "graph root": "/elsewhere"})
        with pytest.raises(errors.ConfigurationMismatch) as caught:
            other.container_rows()
        assert str(caught.value) == (
            'database graph root "/var/lib/containers/storage" does not match our graph root "/elsewhere": '
            "database configuration mismatch"
        )

    def test_a_symbolic_link_is_the_same_place(self, path: str, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        SqliteState(path, identity={"graph root": str(tmp_path / "real" / "x")}).container_rows()
        assert SqliteState(path, identity={"graph root": str(tmp_path / "link" / "x")}).container_rows() == []

    def test_a_word_the_database_does_not_know_is_no_difference(self, path: str) -> None:
        SqliteState(path, identity=IDENTITY).container_rows()
        assert SqliteState(path, identity={**IDENTITY, "volume path": "/v"}).container_rows() == []

    def test_a_newer_schema(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        with state.transaction():
            state._change(f"PRAGMA user_version={VERSION + 6}")
        state.close()
        with pytest.raises(errors.ConfigurationMismatch) as caught:
            state.container_rows()
        assert str(caught.value) == (
            f"database schema version {VERSION + 6} is newer than version {VERSION}, "
            "the newest this wherry understands: database configuration mismatch"
        )

    @pytest.mark.parametrize("content", [b"not a database, but long enough to have a header" * 100, b""])
    def test_something_else(self, path: str, content: bytes) -> None:
        os.makedirs(os.path.dirname(path))
        Path(path).write_bytes(content)
        with pytest.raises(errors.Corrupt):
            SqliteState(path, identity=IDENTITY).container_rows()
        assert Path(path).read_bytes() == content

    def test_a_directory_in_the_way(self, path: str) -> None:
        os.makedirs(path)
        with pytest.raises(errors.WherryError, match="unable to open database file"):
            SqliteState(path, identity=IDENTITY).container_rows()

    def test_a_parent_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(errors.WherryError, match="opening the database"):
            SqliteState(str(tmp_path / "file" / "state.db"), identity=IDENTITY).container_rows()

    def test_waiting_for_a_writer_ends(self, path: str) -> None:
        first = SqliteState(path, identity=IDENTITY)
        second = SqliteState(path, identity=IDENTITY, busy_timeout_ms=20)
        config = add(first)
        with first.transaction():
            first.save_state(config.id, ContainerState(pid=1))
            assert second.container_state(config.id).pid == 0           # readers do not wait
            with pytest.raises(errors.TimedOut, match="database is locked"):
                second.save_state(config.id, ContainerState(pid=2))
        second.save_state(config.id, ContainerState(pid=2))
        assert first.container_state(config.id).pid == 2

    def test_a_full_disk_rolls_back(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        config = add(state)
        pages = state._rows("PRAGMA page_count")[0][0]
        state._rows(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(errors.NoSpace), state.transaction():
            state.save_state(config.id, ContainerState(pid=1))
            state.add_container(container("c2", labels={"l": "x" * 100_000}), ContainerState())
        state._rows("PRAGMA max_page_count=1000000")
        assert state.container_state(config.id).pid == 0
        add(state, "c3")
        assert [row.id for row in state.container_rows()] == [full("c1"), full("c3")]

    def test_changes_need_a_transaction(self, path: str) -> None:
        with pytest.raises(errors.InternalError, match="outside a transaction"):
            SqliteState(path, identity=IDENTITY)._change("DELETE FROM containers")

    def test_closing_inside_a_transaction(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        with pytest.raises(errors.InternalError), state.transaction():
            state.close()


class TestMigrating:
    STEPS = {1: ("ALTER TABLE pods ADD COLUMN colour TEXT",), 2: ("UPDATE pods SET colour='blue'", "CREATE TABLE t(x)")}

    def link(self, path: str) -> _sqlite3.Connection:
        SqliteState(path, identity=IDENTITY).container_rows()
        link = _sqlite3.connect(path, isolation_level=None)
        if link.execute("PRAGMA user_version").fetchone() == (VERSION,):
            link.execute("PRAGMA user_version=1")
        return link

    def test_steps_are_taken_in_order(self, path: str) -> None:
        link = self.link(path)
        migrations.migrate(link, 1, path, steps=self.STEPS, target=3)
        assert link.execute("PRAGMA user_version").fetchone() == (3,)
        assert link.execute("SELECT colour FROM pods").fetchall() == []
        assert link.execute("PRAGMA foreign_keys").fetchone() == (1,)

    def test_a_failed_step_leaves_the_old_version(self, path: str) -> None:
        link = self.link(path)
        with pytest.raises(_sqlite3.Error):
            migrations.migrate(link, 1, path, steps={**self.STEPS, 2: ("UPDATE nothing SET x=1",)}, target=3)
        assert link.execute("PRAGMA user_version").fetchone() == (1,)
        assert "colour" not in [row[1] for row in link.execute("PRAGMA table_info(pods)")]

    def test_another_process_may_have_done_it(self, path: str) -> None:
        first, second = self.link(path), _sqlite3.connect(path, isolation_level=None)
        migrations.migrate(first, 1, path, steps=self.STEPS, target=3)
        migrations.migrate(second, 1, path, steps=self.STEPS, target=3)
        assert second.execute("PRAGMA user_version").fetchone() == (3,)

    def test_the_steps_lead_to_the_present_tables(self, path: str) -> None:
        link = self.link(path)
        fresh = self.tables(link)
        for name in ("updates", "bad_digests", "kept_images"):      # what came after version 1
            link.execute(f"DROP TABLE {name}")
        link.close()
        state = SqliteState(path, identity=IDENTITY)
        assert state.updates() == []
        assert self.tables(_sqlite3.connect(path)) == fresh

    @staticmethod
    def tables(link: _sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
        """The columns of every table and index."""
        names = [row[0] for row in link.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")]
        return {
            name: link.execute(f"PRAGMA table_xinfo({name})").fetchall()
            + link.execute(f"PRAGMA index_xinfo({name})").fetchall()
            for name in names
        }

    def test_every_older_version_has_a_step(self) -> None:
        assert sorted(migrations.STEPS) == list(range(1, VERSION))


class TestClosing:
    def test_no_checkpoint_on_close(self, path: str) -> None:
        def session(identity: str) -> None:
            state = SqliteState(path, identity=IDENTITY)
            add(state, identity)
            state.close()

        in_child(lambda: session("c1"))
        log = os.stat(path + "-wal").st_size
        before = Path(path).read_bytes()
        in_child(lambda: session("c2"))
        assert os.stat(path + "-wal").st_size > log > 0
        assert Path(path).read_bytes() == before
        assert len(SqliteState(path, identity=IDENTITY).container_rows()) == 2

    def test_a_full_close_empties_the_log(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        add(state)
        state.close(fast=False)
        assert os.stat(path + "-wal").st_size == 0

    def test_a_checkpoint_fills_the_database(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        add(state, labels={"marker": "brown fox"})
        assert b"brown fox" not in Path(path).read_bytes()
        state.checkpoint()
        assert b"brown fox" in Path(path).read_bytes()

    def test_the_log_does_not_grow_for_ever(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        config = add(state)
        for number in range(400):
            state.save_state(config.id, ContainerState(pid=number))
        assert os.stat(path + "-wal").st_size < 400 * 4096


class TestProcessesAndThreads:
    def test_a_forked_child_has_its_own_connection(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        config = add(state)

        def work() -> None:
            assert state.container_state(config.id).pid == 0
            state.save_state(config.id, ContainerState(pid=3))

        in_child(work)
        assert state.container_state(config.id).pid == 3
        state.save_state(config.id, ContainerState(pid=4))

    def test_a_child_forked_inside_a_transaction(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY, busy_timeout_ms=10)
        config = add(state)

        def work() -> None:
            assert state.container_state(config.id).pid == 0        # the parent's change is not committed
            with pytest.raises(errors.TimedOut):
                state.add_events(Event(status="x"))

        with state.transaction():
            state.save_state(config.id, ContainerState(pid=1))
            in_child(work)
        assert state.container_state(config.id).pid == 1

    def test_a_child_forked_while_another_thread_writes(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        config = add(state)
        inside, leave = threading.Event(), threading.Event()

        def writer() -> None:
            with state.transaction():
                inside.set()
                leave.wait()

        thread = threading.Thread(target=writer)
        thread.start()
        inside.wait()
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)        # a child that waits for the parent's thread would wait for ever
            os._exit(state.container_state(config.id).pid)
        status = os.waitpid(pid, 0)[1]
        leave.set()
        thread.join()
        assert os.waitstatus_to_exitcode(status) == 0

    def test_threads_do_not_see_each_others_transactions(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        config = add(state)
        inside = threading.Event()
        seen = []

        def writer() -> None:
            with state.transaction():
                state.save_state(config.id, ContainerState(pid=1))
                inside.set()
                time.sleep(0.05)
                state.save_state(config.id, ContainerState(pid=2))

        thread = threading.Thread(target=writer)
        thread.start()
        inside.wait()
        seen.append(state.container_state(config.id).pid)
        thread.join()
        assert seen == [2]

    def test_data_version_sees_other_processes(self, path: str) -> None:
        state = SqliteState(path, identity=IDENTITY)
        config = add(state)
        before = state.data_version()
        in_child(lambda: SqliteState(path, identity=IDENTITY).save_state(config.id, ContainerState(pid=1)))
        assert state.data_version() != before

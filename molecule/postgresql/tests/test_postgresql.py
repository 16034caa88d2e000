"""PostgreSQL as its users and the host's owner meet it."""

import pytest
from testinfra.host import Host

UNIT = "postgresql@17-main.service"
DATA = "/srv/data/postgresql/17/main"
PSQL = "psql --no-password --tuples-only --no-align"


def query(host: Host, owner: str, database: str, sql: str, password: str = "") -> str:
    """Ask over loopback as the owner of a database; returns what psql says, errors included."""
    command = f"PGPASSWORD=%s {PSQL} --host=127.0.0.1 --username=%s --command=%s %s"
    result = host.run(command, password or f"a-password-of-the-{owner}", owner, sql, database)
    return str(result.stdout + result.stderr).strip()


def as_superuser(host: Host, sql: str) -> str:
    """Ask through the socket; returns what psql says, errors included."""
    result = host.run(f"runuser --user=postgres -- {PSQL} --command=%s", sql)
    return str(result.stdout + result.stderr).strip()


def test_runs_now_and_at_boot(host: Host) -> None:
    service = host.service(UNIT)
    assert service.is_running
    assert service.is_enabled


def test_listens_on_loopback_only(host: Host) -> None:
    listening = [socket for socket in host.socket.get_listening_sockets() if socket.endswith(":5432")]
    assert listening == ["tcp://127.0.0.1:5432"]


def test_keeps_its_data_where_it_was_told(host: Host) -> None:
    assert as_superuser(host, "SHOW data_directory") == DATA
    assert not host.file("/var/lib/postgresql/17/main").exists


def test_serves_the_cluster_of_a_host_that_was_lost(host: Host) -> None:
    assert as_superuser(host, "SELECT number FROM kept") == "42"
    assert host.check_output("find %s -not -user postgres -or -not -group postgres", DATA) == ""
    # A link in it leads there.
    assert host.file("/srv/elsewhere").user == "root"


@pytest.mark.parametrize(("owner", "database"), [("librarian", "library"), ("archivist", "archive")])
def test_owner_owns_the_database(host: Host, owner: str, database: str) -> None:
    # Temporary ones everybody may make.
    made = query(host, owner, database, "CREATE TABLE book (title text); DROP TABLE book")
    assert made.splitlines() == ["CREATE TABLE", "DROP TABLE"]


def test_extension_works(host: Host) -> None:
    assert query(host, "librarian", "library", "SELECT vector_dims(array[1,2,3]::vector)") == "3"


def test_wrong_password_is_refused(host: Host) -> None:
    assert "password authentication failed" in query(host, "librarian", "library", "SELECT 1", "wrong")


def test_owner_enters_no_other_database(host: Host) -> None:
    assert "no pg_hba.conf entry" in query(host, "librarian", "archive", "SELECT 1")
    assert "no pg_hba.conf entry" in query(host, "librarian", "postgres", "SELECT 1")


def test_superuser_is_not_reached_over_the_network(host: Host) -> None:
    assert "no pg_hba.conf entry" in query(host, "postgres", "postgres", "SELECT 1")


def test_passwords_are_kept_as_scram_verifiers(host: Host) -> None:
    unsafe = "SELECT count(*) FROM pg_authid WHERE rolpassword NOT LIKE $$SCRAM-SHA-256%$$"
    assert as_superuser(host, unsafe) == "0"


def test_further_settings_win(host: Host) -> None:
    assert as_superuser(host, "SHOW log_line_prefix") == "it's %m [%p]"


def test_speaks_english_whatever_the_host_speaks(host: Host) -> None:
    assert as_superuser(host, "SHOW lc_messages") == "C.UTF-8"


def test_settings_hide_nowhere_else(host: Host) -> None:
    assert "ALTER SYSTEM is not allowed" in as_superuser(host, "ALTER SYSTEM SET work_mem = 4096")


def test_passwords_are_in_no_log(host: Host) -> None:
    assert host.run("journalctl --no-pager | grep --quiet a-password-of").rc == 1
    assert host.run("grep --recursive --quiet a-password-of /var/log/postgresql").rc == 1


def test_unit_is_sandboxed(host: Host) -> None:
    assert host.run(f"systemd-analyze security --threshold=20 {UNIT}").rc == 0

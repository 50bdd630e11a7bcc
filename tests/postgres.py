"""A PostgreSQL server of the tests' own, in a temporary folder: started, stopped and killed at will."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from tests.ports import free_port

PASSWORD = "hunter2"
_NOT_ROOT = ("postgres", "nobody")  # the server refuses to run as root


def binaries() -> Path | None:
    """The folder of PostgreSQL's server, if it is installed."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in folders if (each / "initdb").exists()), None)


class PostgresServer:
    """`url` gives a place for a ledger: a schema of its own, reached by a socket without a password, or by
    TCP with one."""

    def __init__(self, binaries: Path) -> None:
        self._binaries, self._schemas = binaries, itertools.count(1)
        self.folder = Path(tempfile.mkdtemp(prefix="ponder-pg-"))
        self.user: str | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self.user = next(filter(_known, _NOT_ROOT))
            shutil.chown(self.folder, self.user)
            self._as = {"user": self.user, "extra_groups": [], "cwd": self.folder}
        self.data = self.folder / "data"
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.port = free_port()
        command = [binaries / "initdb", "-D", self.data, "-U", "ponder", "--no-sync", "--locale=C"]
        command += ["--encoding=UTF8", "--auth-local=trust", "--auth-host=scram-sha-256"]
        command += [f"--pwfile={secret}", "--data-checksums"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as)
        assert done.returncode == 0, done.stderr
        self.start()

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        options = ["-p", str(self.port), "-k", str(self.folder), "-F", "-c", "autovacuum=off"]
        command = [self._binaries / "postgres", "-D", self.data, "-h", "127.0.0.1", *options]
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **self._as)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.session().close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends every session; SIGQUIT ends the server as a crash does."""
        self.process.send_signal(how)
        self.process.wait(30)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def remove(self) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def session(self, database: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="ponder", dbname=database, autocommit=True, **options
        )

    def schema(self) -> str:
        """A new schema, which is the first place that sessions of `url(schema)` look at."""
        name = f"ledger{next(self._schemas)}"
        with self.session() as session:
            session.execute(f"CREATE SCHEMA {name}")
        return name

    def url(self, schema: str | None = None) -> str:
        name = schema or self.schema()
        return f"postgresql://ponder@/postgres?host={self.folder}&port={self.port}&options=-csearch_path%3D{name}"

    def tcp(self, user: str = "ponder", password: str = PASSWORD, database: str = "postgres") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"


def _known(user: str) -> bool:
    import pwd

    return user in {each.pw_name for each in pwd.getpwall()}

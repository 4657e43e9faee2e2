"""A PostgreSQL server of one's own, from the distribution's packages, for tests and benchmarks.

It has its data in a new folder, listens on a socket in it alone, and is gone at the end.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SECONDS = 60


def missing() -> str:
    """Why no server can be started here; or ""."""
    if _programs() is None:
        return "no initdb in PATH or /usr/lib/postgresql/*/bin: install the package postgresql"
    if os.geteuid() == 0 and _user() is None:
        return "the server refuses root, and there is no user postgres to start it as"
    return ""


@contextlib.contextmanager
def server(*options: str) -> Iterator[str]:
    """The URL of a server's database, while it runs.

    Args:
      options: of the server, such as "fsync=off".
    """
    programs, user = _programs(), _user()
    if programs is None:
        raise FileNotFoundError(missing())
    # short, since the path of a socket is limited, and where another user may go
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    own: dict[str, Any] = {}
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
        own = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        data = folder / "data"
        command: list[str | Path] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "jaxnn",
            "-A",
            "trust",
            "--no-sync",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **own)
        arguments = ["-k", str(folder), "-c", "listen_addresses="]
        arguments += [part for option in options for part in ("-c", option)]
        with open(folder / "log", "w") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *arguments],
                stdout=log,
                stderr=log,
                cwd=folder,
                **own,
            )
        try:
            _wait_for(programs, folder, process)
            yield f"postgresql://jaxnn@/postgres?host={folder}"
        finally:
            # SIGINT: at once, whoever is connected
            process.send_signal(2)
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(programs: Path, folder: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _SECONDS
    asking: list[str | Path] = [programs / "pg_isready", "-q", "-h", folder]
    while subprocess.run(asking, check=False).returncode:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()}")
        time.sleep(0.1)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in folders if (one / "initdb").exists()), None)


def _user() -> pwd.struct_passwd | None:
    """Whom to start it as; None is this process's own user."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return None

"""Upgrading a running server: by its CLI, by its admin socket, or through the wire."""

import http.client
import json
import random
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import resp

UPGRADE_S_MAX = 60.0


class UpgradeFailed(Exception):
    """An upgrade was refused or went wrong; the text is the server's own."""


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade reported, and how long it took as seen from outside."""

    generation: int
    source: str
    target: str
    commit_us: float
    total_us: float
    clients: int
    keys: int
    stages: list[tuple[str, float]]
    retirement: str
    leaked_bytes: int


class Upgrader:
    """Brings another library in. `upgrade` raises `UpgradeFailed`."""

    def upgrade(self, library: Path) -> Upgrade:
        started = time.monotonic()
        report = self.call("upgrade", library)
        return _upgrade(report, (time.monotonic() - started) * 1e6)

    def status(self) -> dict[str, Any]:
        return self.call("status")

    def call(self, verb: str, library: Path | None = None) -> dict[str, Any]:
        """The answer to `upgrade` with a library, or to `status`."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives up the connection to the server, if it holds one."""


class CliUpgrader(Upgrader):
    """`shell upgrade PATH --json` and its like, a process for each."""

    def __init__(self, binary: Path, admin: Path | None, port: int) -> None:
        self.binary = binary
        self.where = ["--admin", str(admin)] if admin else ["--port", str(port)]

    def call(self, verb: str, library: Path | None = None) -> dict[str, Any]:
        command = [str(self.binary), verb, *_words(library), *self.where, "--json"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=UPGRADE_S_MAX, check=False
        )
        report = _parsed(done.stdout or done.stderr)
        if done.returncode != 0 and "error" not in report:
            raise UpgradeFailed(f"exit status {done.returncode}: {done.stderr.strip()}")
        return report


class CycleUpgrader(CliUpgrader):
    """Full cycles: trial, shadow, canary, probation, and at random rolled back or final.

    What is rolled back is tried again, so that each `upgrade` ends with the library final. A library
    that does not know the data of the one that serves is gone back to instead, if it was the one
    before.
    """

    PROVE = ["--shadow", "20%", "--shadow-time", "300ms", "--canary", "10%,50%", "--step", "200ms",
             "--probation", "600s", "--guard", "panics=0"]

    def __init__(self, binary: Path, admin: Path | None, port: int, seed: int) -> None:
        super().__init__(binary, admin, port)
        self.random = random.Random(seed)
        self.cycles = 0

    def upgrade(self, library: Path) -> Upgrade:
        started = time.monotonic()
        while True:
            report = self.ask("upgrade", str(library), *self.PROVE)
            if report.get("error", {}).get("code") == "schema_unsupported":
                report = self.ask("rollback", "--convert", "--yes")
                self._wait_until_gone()
                return _upgrade(report, (time.monotonic() - started) * 1e6)
            upgrade = _upgrade(report, (time.monotonic() - started) * 1e6)
            verb = self.random.choice(["finalize", "rollback"])
            _upgrade(self.ask(verb), 0.0)
            self.cycles += 1
            self._wait_until_gone()
            if verb == "finalize":
                return upgrade

    def ask(self, *words: str) -> dict[str, Any]:
        command = [str(self.binary), *words, *self.where, "--json"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=UPGRADE_S_MAX, check=False
        )
        return _parsed(done.stdout or done.stderr)

    def _wait_until_gone(self) -> None:
        deadline = time.monotonic() + UPGRADE_S_MAX
        while True:
            status = self.status()
            if status["phase"] == "idle" and not status["retiring"]:
                return
            if time.monotonic() > deadline:
                raise UpgradeFailed(f"what was replaced does not go: {status['retiring']}")
            time.sleep(0.02)

    def close(self) -> None:
        print(f"{self.cycles} full cycles", flush=True)


class AdminUpgrader(Upgrader):
    """A request on the admin socket, over one connection kept open."""

    def __init__(self, admin: Path) -> None:
        self.admin = admin
        self.connection = _UnixConnection(admin)

    def call(self, verb: str, library: Path | None = None) -> dict[str, Any]:
        body = json.dumps({"path": str(library)}) if library else None
        headers = {"Content-Type": "application/json"}
        try:
            self.connection.request("POST" if body else "GET", f"/v1/{verb}", body, headers)
            answer = self.connection.getresponse()
            return _parsed(answer.read().decode())
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise UpgradeFailed(f"{self.admin}: {error!r}") from error

    def close(self) -> None:
        self.connection.close()


class WireUpgrader(Upgrader):
    """`SHELL UPGRADE path` on an ordinary client connection."""

    def __init__(self, port: int) -> None:
        self.connection = resp.Connection(port)

    def call(self, verb: str, library: Path | None = None) -> dict[str, Any]:
        try:
            reply = self.connection.call("SHELL", verb.upper(), *_words(library))
        except resp.ReplyError as error:
            raise UpgradeFailed(str(error)) from error
        return _parsed(reply.decode() if isinstance(reply, bytes) else json.dumps(reply))

    def close(self) -> None:
        self.connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=UPGRADE_S_MAX)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def make(via: str, binary: Path, admin: Path | None, port: int, seed: int = 1) -> Upgrader:
    """The upgrader for `via`: `cli`, `admin`, `wire` or `cycle`."""
    if via == "cycle":
        return CycleUpgrader(binary, admin, port, seed)
    if via == "wire":
        return WireUpgrader(port)
    if via == "admin":
        if admin is None:
            raise SystemExit("--via admin needs the admin socket's path: give --admin")
        return AdminUpgrader(admin)
    return CliUpgrader(binary, admin, port)


def _words(library: Path | None) -> list[str]:
    return [str(library)] if library else []


def _parsed(text: str) -> dict[str, Any]:
    try:
        report = json.loads(text)
    except ValueError as error:
        raise UpgradeFailed(f"not a report: {text.strip()[:300]!r}") from error
    if not isinstance(report, dict):
        raise UpgradeFailed(f"not a report: {text.strip()[:300]!r}")
    return report


def _upgrade(report: dict[str, Any], total_us: float) -> Upgrade:
    if "error" in report:
        error = report["error"]
        raise UpgradeFailed(f"{error.get('code')}: {error.get('message')} {error.get('hint', '')}")
    return Upgrade(
        generation=report["generation"],
        source=_label(report["from"]),
        target=_label(report["to"]),
        commit_us=report["commit_us"],
        total_us=total_us,
        clients=report["clients"],
        keys=report["keys"],
        stages=[(stage["name"], stage["us"]) for stage in report["stages"]],
        retirement=report["retirement"],
        leaked_bytes=report["leaked_bytes"],
    )


def _label(release: dict[str, Any]) -> str:
    return f"{release['name']} {release['version']}"

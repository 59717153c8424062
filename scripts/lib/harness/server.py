"""Servers under test, each in a temporary directory of its own on a free port."""

import json
import os
import resource
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from harness import children, paths, resp

START_S_MAX = 30.0


def free_port() -> int:
    """A TCP port that nothing listens on right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def allow_many_files() -> None:
    """Raises this process's limit of descriptors, which children inherit, as far as allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """A running server; a context manager that stops it and removes its directory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.dir = Path(tempfile.mkdtemp(prefix="hotswap-"))
        self.log = self.dir / "server.log"
        self.process: subprocess.Popen | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server has not been started"
        return self.process.pid

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = children.spawn(
                self.command(), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_until_ready()

    def stop(self) -> None:
        if self.process is not None:
            children.stop(self.process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_tail(self, lines: int = 20) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            if not self.alive():
                break
            if _answers(self.port):
                return
            time.sleep(0.02)
        raise SystemExit(f"{self.name} did not start; its log ends with:\n{self.log_tail()}")


def _answers(port: int) -> bool:
    try:
        with resp.Connection(port, timeout=2.0) as connection:
            return connection.call("PING") == b"PONG"
    except (OSError, resp.Disconnected, resp.ReplyError):
        return False


class ShellServer(Server):
    """`shell serve` with its admin socket in its own directory. No upgrade is on probation unless it
    asks for that: what is measured is the swap, and its way back is an upgrade of its own."""

    def __init__(self, binary: Path = paths.SHELL, logic: Path = paths.LOGIC_V1,
                 options: Sequence[str] = ()) -> None:
        super().__init__("shell serve")
        self.binary = paths.require(binary, "Run `cargo build --release` first.")
        self.logic = paths.require(logic, "Run `cargo build --release` first.")
        self.options = list(options)
        self.admin = self.dir / "admin.sock"
        self.serving: int | None = None

    @property
    def pid(self) -> int:
        """The process that serves: a child of the one that was started, which keeps it."""
        assert self.serving is not None, "the server has not been started"
        return self.serving

    def start(self) -> None:
        super().start()
        self.serving_now()

    def serving_now(self) -> int:
        """The process that serves, which is another once one has ended or made way."""
        with resp.Connection(self.port) as connection:
            lines = connection.call("INFO", "server").decode().splitlines()
        self.serving = next(int(line.split(":")[1]) for line in lines
                            if line.startswith("process_id:"))
        return self.serving

    def command(self) -> list[str]:
        return [
            str(self.binary), "serve",
            "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.dir), "--admin", str(self.admin), "--logic", str(self.logic),
            "--enable-debug-command", "yes", "--enable-shell-command", "yes",
            "--upgrade-probation", "0",
            *self.options,
        ]


    def ask(self, *words: str) -> dict[str, Any]:
        """What `shell` prints for a verb with its arguments, be it an error."""
        command = [str(self.binary), *words, "--admin", str(self.admin), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout)


class RedisServer(Server):
    """The machine's `redis-server`, purely in memory."""

    def __init__(self, binary: str = "redis-server", options: Sequence[str] = ()) -> None:
        super().__init__("redis-server")
        self.binary = shutil.which(binary) or ""
        if not self.binary:
            self.stop()
            raise SystemExit(f"{binary} is not installed. Try: apt-get install redis-server")
        self.options = list(options)

    def command(self) -> list[str]:
        return [
            self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(self.dir), "--enable-debug-command", "yes",
            *self.options,
        ]


class CustomServer(Server):
    """Any command line that serves RESP; `{port}` in it is replaced by the port to listen on."""

    def __init__(self, template: str) -> None:
        super().__init__(shlex.split(template)[0])
        self.template = template

    def command(self) -> list[str]:
        return shlex.split(self.template.replace("{port}", str(self.port)))


class ForeignServer(Server):
    """A server that somebody else started and will stop."""

    def __init__(self, port: int, pid: int) -> None:
        super().__init__(f"the server at port {port}")
        self.port = port
        self._pid = pid

    @property
    def pid(self) -> int:
        return self._pid

    def start(self) -> None:
        if not _answers(self.port):
            raise SystemExit(f"nothing answers at 127.0.0.1:{self.port}")

    def alive(self) -> bool:
        return os.path.exists(f"/proc/{self._pid}")

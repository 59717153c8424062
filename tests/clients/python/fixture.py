"""A server for each test class, and its upgrade."""

import contextlib
import os
import shlex
import shutil
import subprocess
import threading
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness import paths, resp
from harness.alternator import Alternator
from harness.schedule import Schedule, now
from harness.server import CustomServer, Server, ShellServer
from harness.upgrade import CliUpgrader

WAIT_S_MAX = 30.0
# From one upgrade to the next, where they follow one another.
_SWAP_S = 0.2
_AGAINST = os.environ.get("CLIENTS_AGAINST", "")


class ServedTest(unittest.TestCase):
    """Tests that share one server. Each begins on an empty keyspace."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = CustomServer(_AGAINST) if _AGAINST else ShellServer()
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()
        cls.on_second = False

    def setUp(self) -> None:
        with resp.Connection(self.server.port) as connection:
            connection.call("FLUSHALL")

    @property
    def port(self) -> int:
        return self.server.port

    def upgrade(self) -> None:
        """Brings in the library that does not serve now; nothing where the server has none."""
        if not isinstance(self.server, ShellServer):
            return
        cls = type(self)
        library = paths.LOGIC_V1 if cls.on_second else paths.LOGIC_V2
        upgrader = CliUpgrader(paths.SHELL, self.server.admin, self.port)
        done = upgrader.upgrade(library)
        cls.on_second = not cls.on_second
        self.assertNotEqual(done.source, done.target)

    @contextlib.contextmanager
    def swapping(self) -> Iterator[None]:
        """Upgrades back and forth meanwhile; no less than once each way."""
        if not isinstance(self.server, ShellServer):
            yield
            return
        cls = type(self)
        libraries = (paths.LOGIC_V1, paths.LOGIC_V2)
        if cls.on_second:
            libraries = libraries[::-1]
        upgrader = CliUpgrader(paths.SHELL, self.server.admin, self.port)
        swaps = Alternator(upgrader, libraries, Schedule(now(), 0), _SWAP_S, limit=0)
        swaps.start()
        try:
            yield
        finally:
            swaps.stop()
            cls.on_second ^= swaps.done % 2 == 1
        self.assertEqual(swaps.failures, [])
        self.assertGreaterEqual(swaps.done, 2)

    def redis(self, **options: Any) -> redis.Redis:
        """A redis-py client on one connection that it may not replace."""
        client = redis.Redis(
            port=self.port, retry=Retry(NoBackoff(), 0), socket_timeout=WAIT_S_MAX, **options
        )
        self.addCleanup(client.close)
        return client

    def tool(self, name: str) -> str:
        found = shutil.which(name)
        if found is None:
            self.fail(f"{name} is not installed. Try: apt-get install redis-tools")
        return found

    def start(self, *command: str, **options: Any) -> subprocess.Popen:
        """A process with text pipes, ended with the test."""
        process = subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=1, **options,
        )
        self.addCleanup(_end, process)
        return process

    def cli(self, arguments: str, given: str = "") -> str:
        """What redis-cli prints; the words of `arguments` as a shell would split them."""
        command = [self.tool("redis-cli"), "-p", str(self.port), *shlex.split(arguments)]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=WAIT_S_MAX, check=False
        )
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout


class Lines:
    """A process's output, line by line, with an end to patience."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.seen: list[str] = []
        self.more = threading.Condition()
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        # Whoever ends the process closes what it is read from.
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                with self.more:
                    self.seen.append(line.rstrip("\n"))
                    self.more.notify_all()
        with self.more:
            self.ended = True
            self.more.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], after: int = 0) -> int:
        """The number of lines up to and with the first wanted one beyond `after`."""
        with self.more:
            found = self.more.wait_for(
                lambda: next(self._matching(wanted, after), None) or self.ended, WAIT_S_MAX
            )
        if not found or found is True:
            raise AssertionError("no such line in:\n" + "\n".join(self.seen))
        return found

    def _matching(self, wanted: Callable[[str], bool], after: int) -> Iterator[int]:
        return (i + 1 for i, line in enumerate(self.seen) if i >= after and wanted(line))


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()

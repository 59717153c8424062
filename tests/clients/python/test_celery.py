"""Celery with kombu: its worker, and who waits for results, while the logic is swapped."""

import importlib
import os
import sys
import time
import unittest
from pathlib import Path

from fixture import WAIT_S_MAX, Lines, ServedTest

_APPLICATIONS = Path(__file__).resolve().parent / "applications"


class CeleryTasks(ServedTest):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        os.environ["CELERY_URL"] = f"redis://127.0.0.1:{cls.server.port}/0"
        sys.path.insert(0, str(_APPLICATIONS))
        cls.tasks = importlib.import_module("celery_tasks")
        cls.addClassCleanup(cls.tasks.app.close)

    def worker(self, name: str):
        """A worker that is ready."""
        worker = self.start(
            sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "--pool", "threads",
            "--concurrency", "4", "--hostname", name, "--loglevel", "INFO", cwd=_APPLICATIONS,
        )
        lines = Lines(worker)
        lines.wait_for(lambda line: line.endswith("ready."))
        return worker, lines

    def test_tasks_chords_countdowns_and_retries(self):
        _, lines = self.worker("one@here")
        with self.swapping():
            self.results()
            self.chords()
            self.countdowns()
            self.retries()
        self.assertFalse([line for line in lines.seen if "onnection to broker lost" in line])

    def results(self):
        tasks = self.tasks
        sums = [tasks.add.delay(i, i) for i in range(100)]
        counts = [tasks.count.delay("counted") for _ in range(50)]
        self.assertEqual([s.get(WAIT_S_MAX) for s in sums], [2 * i for i in range(100)])
        self.assertEqual(sorted(c.get(WAIT_S_MAX) for c in counts), list(range(1, 51)))
        chain = tasks.add.s(1, 2) | tasks.add.s(3) | tasks.add.s(4)
        self.assertEqual(chain().get(WAIT_S_MAX), 10)

    def chords(self):
        from celery import chord, group

        tasks = self.tasks
        chords = [
            chord([tasks.add.s(i, j) for j in range(10)])(tasks.total.s()) for i in range(8)
        ]
        wanted = [10 * i + 45 for i in range(8)]
        self.assertEqual([c.get(WAIT_S_MAX) for c in chords], wanted)
        nested = group(tasks.add.s(1, 1), tasks.add.s(2, 2)) | tasks.total.s() | tasks.add.s(4)
        self.assertEqual(nested().get(WAIT_S_MAX), 10)

    def countdowns(self):
        begun = time.time()
        late = {s: self.tasks.since.apply_async((begun,), countdown=s) for s in (1.5, 0.5, 1.0)}
        for seconds, result in late.items():
            self.assertGreaterEqual(result.get(WAIT_S_MAX), seconds)

    def retries(self):
        fragile = [self.tasks.fragile.delay(failures) for failures in (0, 1, 3, 9)]
        self.assertEqual([f.get(WAIT_S_MAX) for f in fragile[:3]], [0, 1, 3])
        self.assertRaisesRegex(ValueError, "attempt 3", fragile[3].get, WAIT_S_MAX)


if __name__ == "__main__":
    unittest.main()

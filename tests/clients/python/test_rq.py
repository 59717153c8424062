"""RQ: its workers and its scheduler, and who waits for results, while the logic is swapped."""

import os
import signal
import sys
import time
import unittest
from datetime import timedelta
from pathlib import Path

from rq import Queue, Retry
from rq.job import Job, JobStatus

from fixture import WAIT_S_MAX, Lines, ServedTest

_APPLICATIONS = Path(__file__).resolve().parent / "applications"


class RqJobs(ServedTest):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.redis()
        self.queue = Queue("jobs", connection=self.client)
        self.urgent = Queue("urgent", connection=self.client)

    def worker(self, name: str) -> Lines:
        """A worker that listens, with a scheduler, which is a process of its own."""
        worker = self.start(
            sys.executable, "-m", "rq.cli", "worker", "urgent", "jobs", "--name", name,
            "--url", f"redis://127.0.0.1:{self.port}/0", "--with-scheduler",
            "--worker-class", "rq.worker.SimpleWorker", cwd=_APPLICATIONS,
            start_new_session=True,
        )
        self.addCleanup(os.killpg, worker.pid, signal.SIGKILL)
        lines = Lines(worker)
        lines.wait_for(lambda line: "Listening on" in line)
        return lines

    def result(self, job: Job):
        """What the job returned. It must have ended well."""
        until = time.monotonic() + WAIT_S_MAX
        while job.get_status() not in (JobStatus.FINISHED, JobStatus.FAILED):
            self.assertLess(time.monotonic(), until, f"{job} does not end: {job.get_status()}")
            time.sleep(0.01)
        self.assertEqual(job.get_status(), JobStatus.FINISHED, job.latest_result())
        return job.return_value()

    def test_jobs_in_two_workers(self):
        self.worker("one")
        self.worker("two")
        with self.swapping():
            begun = time.time()
            sums = [self.queue.enqueue("rq_jobs.add", i, i) for i in range(50)]
            counts = [self.urgent.enqueue("rq_jobs.count", "counted") for _ in range(30)]
            late = self.queue.enqueue_in(timedelta(seconds=2), "rq_jobs.now")
            retried = self.queue.enqueue("rq_jobs.fragile", "twice", 2, retry=Retry(max=3))
            failed = self.queue.enqueue("rq_jobs.fragile", "always", 9, retry=Retry(max=1))
            after = self.queue.enqueue("rq_jobs.add", 1, 1, depends_on=sums + [retried])
            self.assertEqual([self.result(job) for job in sums], [2 * i for i in range(50)])
            self.assertEqual(sorted(map(self.result, counts)), list(range(1, 31)))
            self.assertEqual(self.result(retried), 3)
            self.assertEqual(self.result(after), 2)
            after.refresh()
            last = max(job.latest_result().created_at for job in [*sums, retried])
            self.assertGreaterEqual(after.started_at, last - timedelta(milliseconds=5))
            self.assertGreaterEqual(self.result(late), begun + 1.9)
            self.assertRaises(AssertionError, self.result, failed)
            self.assertIn("attempt 2", failed.latest_result().exc_string)
        self.assertEqual(self.queue.failed_job_registry.get_job_ids(), [failed.id])
        self.assertEqual(self.client.get("always"), b"2")
        self.assertEqual(len(self.queue), 0)


if __name__ == "__main__":
    unittest.main()

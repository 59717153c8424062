"""Tasks of Celery, run by its worker. The environment says where broker and results are."""

import os
import time

import redis
from celery import Celery

_URL = os.environ["CELERY_URL"]

app = Celery("celery_tasks", broker=_URL, backend=_URL)
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
_counts = redis.Redis.from_url(_URL)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def count(name):
    return _counts.incr(name)


@app.task(bind=True, max_retries=3)
def fragile(self, failures):
    if self.request.retries < failures:
        raise self.retry(countdown=0.1, exc=ValueError(f"attempt {self.request.retries}"))
    return self.request.retries


@app.task
def since(begun):
    return time.time() - begun

"""Jobs of RQ, run by its workers."""

import time

from rq import get_current_job


def add(x, y):
    return x + y


def count(name):
    return get_current_job().connection.incr(name)


def now():
    return time.time()


def fragile(name, failures):
    attempt = get_current_job().connection.incr(name)
    if attempt <= failures:
        raise ValueError(f"attempt {attempt}")
    return attempt

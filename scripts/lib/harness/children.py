"""Child processes that never outlive their parent."""

import ctypes
import signal
import subprocess
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command: list[str], **options: Any) -> subprocess.Popen:
    """Starts a process out of reach of the terminal's Ctrl-C: the parent ends it in order.

    Should the parent be killed, the kernel kills the child. Call it from the main thread: the
    kernel means the thread that started the child.
    """
    return subprocess.Popen(
        command, start_new_session=True, preexec_fn=_die_with_parent, **options
    )


def stop(process: subprocess.Popen, grace_s: float = 10.0) -> int:
    """Ends one process: politely, then by force. Returns its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def end_on_sigterm() -> None:
    """Makes SIGTERM unwind like Ctrl-C, so that every `with` block cleans up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)

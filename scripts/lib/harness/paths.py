"""Where the built files and the tools lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
# Tests may be of another build; relative to the repository, as for the Rust tests.
BUILT = ROOT / (os.environ.get("SHELL_BUILD_DIR") or TARGET / "release")

SHELL = BUILT / "shell"
LOGIC_V1 = BUILT / "liblogic_v1.so"
LOGIC_V2 = BUILT / "liblogic_v2.so"
# A release with commands that do what none should: `cargo build --release -p faulty`.
FAULTY = BUILT / "libfaulty.so"

NODE_MODULES = TARGET / "node" / "node_modules"


def require(path: Path, hint: str) -> Path:
    """`path`, or an exit that says how to get it."""
    if not path.exists():
        raise SystemExit(f"{path} does not exist. {hint}")
    return path

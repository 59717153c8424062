"""Where the built files and the tools lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
RELEASE = TARGET / "release"

SHELL = RELEASE / "shell"
LOGIC_V1 = RELEASE / "liblogic_v1.so"
LOGIC_V2 = RELEASE / "liblogic_v2.so"

NODE_MODULES = TARGET / "node" / "node_modules"


def require(path: Path, hint: str) -> Path:
    """`path`, or an exit that says how to get it."""
    if not path.exists():
        raise SystemExit(f"{path} does not exist. {hint}")
    return path

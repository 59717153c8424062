# shellcheck shell=bash
# Sourced by the scripts beside it: where things are, and how to get what Python and Node need.
# Everything that is fetched goes into the build folder; nothing is installed into the system.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
VENV="$TARGET/venv"
NODE_DIR="$TARGET/node"
CARGO_DENY="$TARGET/tools/bin/cargo-deny"
export PYTHONPATH="$ROOT/scripts/lib"
export PYTHONDONTWRITEBYTECODE=1
export NODE_PATH="$NODE_DIR/node_modules"

# Whether the folder $1 was made from exactly the file $2.
is_made_from() {
    [ -f "$1/.made-from" ] && cmp -s "$2" "$1/.made-from"
}

# A virtual environment with the pinned packages; made once, and again when the pins change.
ensure_venv() {
    local pins="$ROOT/scripts/requirements.txt"
    if is_made_from "$VENV" "$pins" && "$VENV/bin/python" -c 'import redis' 2>/dev/null; then
        return
    fi
    rm -rf "$VENV"
    mkdir -p "$TARGET"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check -r "$pins"
    cp "$pins" "$VENV/.made-from"
}

# Node's packages, at the versions of the lock file.
ensure_node_modules() {
    local source="$ROOT/scripts/lib/node"
    if is_made_from "$NODE_DIR" "$source/package-lock.json" && [ -d "$NODE_PATH" ]; then
        return
    fi
    mkdir -p "$NODE_DIR"
    cp "$source/package.json" "$source/package-lock.json" "$NODE_DIR/"
    (cd "$NODE_DIR" && npm ci --no-audit --no-fund --loglevel=error)
    cp "$source/package-lock.json" "$NODE_DIR/.made-from"
}

# The checker of licences and advisories, at one version. Built without optimisation, which is
# quick; a check takes two seconds all the same.
ensure_cargo_deny() {
    local version=0.20.2
    if [ "$("$CARGO_DENY" --version 2>/dev/null)" = "cargo-deny $version" ]; then
        return
    fi
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug "cargo-deny@$version" \
        --root "$TARGET/tools" --target-dir "$TARGET/tools/build"
    rm -rf "$TARGET/tools/build"
}

# Builds the server and both libraries as users run them.
ensure_release() {
    (cd "$ROOT" && cargo build --release --locked --quiet)
}

#!/usr/bin/env bash
# Everything that must hold before a change goes in: formatting, lints, documentation, tests,
# real clients across upgrades, a short soak. Installs what is missing, on Debian and its kin.
#
#   scripts/test.sh              all of it
#   scripts/test.sh lint rust    only these steps; their names are listed at the end of this file
set -euo pipefail
# shellcheck source=scripts/lib/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/env.sh"
cd "$ROOT"

STARTED=$SECONDS

# Runs the step $1, described by $2, with a heading and the time it took.
step() {
    local name=$1 text=$2 began=$SECONDS
    if [ ${#WANTED[@]} -gt 0 ] && [[ " ${WANTED[*]} " != *" $name "* ]]; then
        return
    fi
    printf '\n==> %s: %s\n' "$name" "$text"
    "step_$name"
    printf '<== %s: %d s (%d s in all)\n' "$name" $((SECONDS - began)) $((SECONDS - STARTED))
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        echo "Not allowed to install packages. As root, run: $*" >&2
        return 1
    fi
}

# Debian packages that hold the commands we need and do not have.
missing_packages() {
    local pair
    for pair in redis-server:redis-server redis-cli:redis-tools python3:python3 \
        node:nodejs npm:npm cc:gcc git:git chromium:chromium promtool:prometheus curl:curl; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
    [ -e /usr/include/stdio.h ] || echo libc6-dev
}

# Installs packages without letting one of them start a service.
install_packages() {
    local policy=/usr/sbin/policy-rc.d ours=no status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        ours=yes
    fi
    as_root apt-get update -qq || status=$?
    if [ "$status" -eq 0 ]; then
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >/dev/null || status=$?
    fi
    [ "$ours" = no ] || as_root rm -f "$policy"
    return "$status"
}

step_tools() {
    local packages
    mapfile -t packages < <(missing_packages)
    if [ ${#packages[@]} -gt 0 ]; then
        echo "installing ${packages[*]}"
        install_packages "${packages[@]}"
        # The package would start its server at the next boot of the machine.
        if [[ " ${packages[*]} " == *" redis-server "* ]] && [ -d /run/systemd/system ]; then
            as_root systemctl disable --now redis-server
        fi
    fi
    command -v cargo >/dev/null || {
        echo "Rust is missing. Install it as https://rustup.rs says." >&2
        return 1
    }
    ensure_venv
    ensure_node_modules
    cargo --version
    redis-server --version
    "$VENV/bin/python" --version
    node --version
}

step_lint() {
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
}

step_build() {
    ensure_release
}

# The tests are built without optimisation, which is quick and checks arithmetic; those of whole
# servers and of loading drive the program and the libraries that users run.
step_rust() {
    ensure_release
    SHELL_BUILD_DIR="$TARGET/release" cargo test --workspace --locked --quiet
}

# The same with AddressSanitizer, which the stable compiler has behind a switch: the parts, then
# whole servers, of which program and libraries are sanitised. Libraries find the sanitiser in the
# program, if that exports it. Leaks are not looked for, because tests leak on purpose and the
# sanitiser does not see into the arena; a crash stays a signal, which is how libraries are judged.
# Frames of a report that are in a library have no names: addr2line finds them in the .so.
step_sanitised() {
    local host file skipped=() what=(--workspace --exclude fixtures --exclude faulty --lib --bins --test arena)
    local folder=$TARGET/sanitised flags="-Zsanitizer=address --cfg sanitised"
    host=$(rustc --print host-tuple)
    for file in engine/tests/*.rs; do
        what+=(--test "$(basename "$file" .rs)")
    done
    export ASAN_OPTIONS=detect_leaks=0:handle_segv=0
    # A sanitised build is slow, and what a model finds the run before has found.
    export PROPTEST_CASES=64 CHANCE_COMMANDS=20000
    (
        export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$folder
        export RUSTFLAGS="$flags -Clink-arg=-Wl,--export-dynamic-symbol=__asan_*"
        cargo build --target "$host" --locked --quiet "${what[@]}"
        cargo test --target "$host" --locked --quiet "${what[@]}"
    )
    # Nor is it run on what is about words, settings and the command line.
    for about in recorded_replies server::{administration,info,known,process,readme,settings} \
        upgrades::{admin,cli,hung,refusals,stuck}; do
        skipped+=(--skip "$about")
    done
    SHELL_BUILD_DIR="$folder/$host/debug" cargo test --workspace --locked --quiet --test server \
        -- server:: upgrades:: "${skipped[@]}"
    unset ASAN_OPTIONS PROPTEST_CASES CHANCE_COMMANDS
}

step_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
    "$VENV/bin/python" -m harness.links
}

step_clients() {
    tests/clients/run
}

step_page() {
    scripts/page
}

step_soak() {
    scripts/soak --quick
}

# Known faults of dependencies are listed in a database on GitHub, which not every machine reaches:
# without it only that check is left out.
step_licences() {
    local why
    ensure_cargo_deny
    "$CARGO_DENY" --locked check --hide-inclusion-graph bans licenses sources
    if why=$("$CARGO_DENY" fetch db 2>&1); then
        "$CARGO_DENY" --locked check advisories
    else
        printf '%s\n' "$why" "Advisories and yanked releases were NOT checked: the database cannot be fetched."
    fi
}

WANTED=("$@")
step tools "what is missing is installed"
step lint "formatting and clippy"
step build "the server and both libraries"
step rust "Rust tests"
step sanitised "tests of parts and of whole servers with AddressSanitizer"
step docs "rustdoc, and links between the documents"
step clients "real clients across upgrades"
step page "the page of metrics in a browser, and the rules of alerts"
step soak "checked work while the logic is swapped"
step licences "licences and advisories of the dependencies"
printf '\nAll passed in %d s\n' $((SECONDS - STARTED))

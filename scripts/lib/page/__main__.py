"""Looks at the page of metrics in Chromium while a canary serves, and has promtool check the rules.

The product is two screenshots, light and dark, in --out. Exit status 1 if something is not shown.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from harness import children, paths
from harness.server import ShellServer, free_port
from page.browser import Browser

MONITORING = paths.ROOT / "scripts" / "monitoring"
LOAD = ["-c", "20", "-l", "-q", "-n", "1000", "-t", "get,set,hset"]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/page", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--out", type=Path, default=paths.TARGET / "page", help="where screenshots go")
    add("--server-bin", type=Path, default=paths.SHELL, help="the program to test")
    return parser.parse_args()


def check_rules(metrics: int) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        raise SystemExit("promtool is not installed. Try: apt-get install prometheus")
    subprocess.run([promtool, "check", "config", "prometheus.yml"], cwd=MONITORING, check=True)
    text = subprocess.run(["curl", "-sf", f"http://127.0.0.1:{metrics}/metrics"],
                          capture_output=True, check=True).stdout
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True,
                             check=False)
    if checked.returncode == 1:
        raise SystemExit(checked.stderr.decode())


def look(address: str, out: Path, dark: bool) -> None:
    with Browser(address, dark) as browser:
        browser.wait_for("both generations are shown",
                         "document.querySelectorAll('#generations tr').length === 3")
        text = browser.evaluate("document.body.innerText")
        for expected in ["logic-v1 1.0.0", "logic-v2 2.0.0", "canary", "40%", "Canary, step 1 of 1"]:
            assert expected in text, f"{expected!r} is not in:\n{text}"
        # A path that has lines: two points at least.
        browser.wait_for("both are plotted",
                         "[...document.querySelectorAll('#plot path')]"
                         ".filter(path => path.getAttribute('d').includes('L')).length === 2")
        back = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        channels = [int(part) for part in back.strip("rgb()").split(",")]
        assert (max(channels) < 80) == dark, f"dark: {dark}, but the background is {back}"
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.screenshot(out / ("dark.png" if dark else "light.png"))


def run(opts: argparse.Namespace) -> int:
    opts.out.mkdir(parents=True, exist_ok=True)
    metrics = free_port()
    with ShellServer(opts.server_bin, options=["--metrics", str(metrics)]) as server:
        load = children.spawn(["redis-benchmark", "-p", str(server.port), *LOAD],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            subprocess.run(
                [str(server.binary), "upgrade", str(paths.LOGIC_V2), "--canary", "40%", "--step",
                 "600s", "--guard", "off", "--no-wait", "--admin", str(server.admin)], check=True)
            check_rules(metrics)
            for dark in [False, True]:
                look(f"http://127.0.0.1:{metrics}/", opts.out, dark)
        finally:
            children.stop(load)
    print(f"the page shows what it should; see {opts.out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(options()))

"""Finds relative links in the Markdown files that lead nowhere; exit status 1 if there are any."""

import re
import subprocess
import sys
from pathlib import Path

from harness.paths import ROOT

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def documents() -> list[Path]:
    """All Markdown files under version control, or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return [path for path in paths if path.exists()]


def broken(document: Path) -> list[str]:
    """Links of one document that have no target."""
    text = _CODE.sub("", document.read_text())
    return [link for link in _LINK.findall(text) if not _leads_somewhere(document, link)]


def _leads_somewhere(document: Path, link: str) -> bool:
    if "://" in link or link.startswith("mailto:"):
        return True
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in _anchors(target)


def _anchors(document: Path) -> set[str]:
    """Names of a document's headings, made the way GitHub makes them."""
    headings = _HEADING.findall(document.read_text())
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def main() -> int:
    found = [(document, link) for document in documents() for link in broken(document)]
    for document, link in found:
        print(f"{document.relative_to(ROOT)}: no such place: {link}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

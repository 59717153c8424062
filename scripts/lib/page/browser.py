"""Chromium without a window, driven over its own protocol."""

import base64
import json
import os
import shutil
import socket
import struct
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

from harness import children

START_S_MAX = 60.0


class Browser:
    """One tab; a context manager that ends it."""

    def __init__(self, address: str, dark: bool = False) -> None:
        binary = shutil.which("chromium") or shutil.which("chromium-browser")
        if not binary:
            raise SystemExit("chromium is not installed. Try: apt-get install chromium")
        self.dir = Path(tempfile.mkdtemp(prefix="hotswap-page-"))
        self.process = children.spawn(
            [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,1200",
             f"--user-data-dir={self.dir}", "--remote-debugging-port=0", address],
            stdout=-3, stderr=-3)
        self.asked = 0
        try:
            self.sock = self._connect()
            if dark:
                features = [{"name": "prefers-color-scheme", "value": "dark"}]
                self.call("Emulation.setEmulatedMedia", features=features)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        children.stop(self.process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + START_S_MAX
        where = self.dir / "DevToolsActivePort"
        while time.monotonic() < deadline:
            try:
                port = int(where.read_text().splitlines()[0])
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                    tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
                return _web_socket(port, tabs[0]["webSocketDebuggerUrl"])
            except (OSError, IndexError, ValueError):
                time.sleep(0.1)
        raise SystemExit("chromium does not start")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.asked += 1
        text = json.dumps({"id": self.asked, "method": method, "params": params}).encode()
        key = os.urandom(4)
        masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
        self.sock.sendall(b"\x81" + b"\xfe" + struct.pack(">H", len(text)) + key + masked)
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self.asked:
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, what: str, expression: str) -> None:
        deadline = time.monotonic() + START_S_MAX
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                shown = self.evaluate("document.body.innerText")
                raise AssertionError(f"waited in vain: {what}; the page shows:\n{shown}")
            time.sleep(0.2)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _message(self) -> bytes:
        whole = b""
        while True:
            first, second = self._read(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self._read(2 if size == 126 else 8), "big")
            whole += self._read(size)
            if first & 128:
                return whole

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise AssertionError("chromium has gone away")
            data += part
        return data


def _web_socket(port: int, url: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=START_S_MAX)
    path = "/" + url.split("/", 3)[3]
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        .encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise OSError("chromium has closed the connection")
        head += byte
    return sock

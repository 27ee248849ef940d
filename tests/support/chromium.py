"""A headless Chromium, driven over two pipes by its own protocol (https://chromedevtools.github.io/devtools-protocol).

No driver and no package: Debian's `chromium` is enough, and nothing has to match its version.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
_PATIENCE_S = 60
_WATCHED = ("Runtime", "Log", "Network", "Page")


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Size(NamedTuple):
    width: int
    height: int


DESKTOP, PHONE = Size(1280, 900), Size(390, 844)


class Page:
    """One tab. `problems` are console messages, exceptions, and what the page's policy stopped."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._received = b""
        self._number = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self._requested: dict[str, str] = {}
        self._loaded = False
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in _WATCHED:
            self._send(f"{domain}.enable")

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for since `forget`, without those that were blocked."""
        return [address for address in self._requested.values() if address != "about:blank"]

    def forget(self) -> None:
        self.problems.clear()
        self._requested.clear()

    def look(self, size: Size = DESKTOP, *, dark: bool = False) -> None:
        """Set the window and the reader's preference."""
        phone = size.width < 600
        metrics = {"width": size.width, "height": size.height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self._send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Go there and wait until it is loaded."""
        for each in ("about:blank", address):  # from the same page with another #fragment, nothing would be loaded
            self._loaded = False
            self._send("Page.navigate", url=each)
            while not self._loaded:
                self._read()

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self._send("Runtime.evaluate", **asked)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        codes = {"Enter": 13, "Escape": 27}
        for kind in ("keyDown", "keyUp"):
            told = {"type": kind, "key": key, "windowsVirtualKeyCode": codes.get(key, 0)}
            self._send("Input.dispatchKeyEvent", **told, **(text if kind == "keyDown" else {}))

    def type(self, text: str) -> None:
        self._send("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        shot = self._send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._answers], [], [], _PATIENCE_S)
            data = os.read(self._answers, 1 << 16) if ready else b""
            assert data, f"Chromium {'went away' if ready else f'said nothing for {_PATIENCE_S} s'}"
            self._received += data
        line, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(str([argument.get("value") for argument in told["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.problems.append(told["exceptionDetails"]["exception"].get("description", "an exception"))
        elif method == "Log.entryAdded":
            self.problems.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self._requested[told["requestId"]] = told["request"]["url"]
        elif method == "Network.loadingFailed" and told.get("blockedReason"):
            self._requested.pop(told["requestId"], None)


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """Start the browser and open a tab."""
    program = find_chromium()
    assert program, "ask find_chromium() first"
    to_read, commands = os.pipe()
    answers, to_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # the pipes have to be the descriptors 3 and 4
        shell = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        options = [*_OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            ["bash", "-c", shell, program, *options],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        try:
            yield Page(commands, answers)
        finally:
            os.close(commands)
            os.close(answers)
            process.terminate()
            process.wait()

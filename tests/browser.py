"""A real browser for tests: Chromium, asked over its DevTools protocol, and a person's keys and clicks in it.

The protocol (https://chromedevtools.github.io/devtools-protocol/) tells which requests were tried and what the console
said. aiohttp, which the project has anyway, speaks it.
"""

import asyncio
import base64
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "Looking at a page needs a browser: install Chromium (apt-get install chromium) or Google Chrome."
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
)
PHONE, DESKTOP = 390, 1280


class Page:
    """A page that was opened: what it asked for, what went wrong in it, answers to JavaScript, keys and clicks."""

    def __init__(self, ask: Callable[..., dict], events: Callable[[], list[dict]]) -> None:
        self._ask, self._events = ask, events

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for so far."""
        seen = (event for event in self._events() if event.get("method") == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in seen]

    @property
    def errors(self) -> list[str]:
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [str(event["params"]) for event in self._events() if event.get("method") in kinds]

    def evaluate(self, expression: str) -> object:
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str, *, seconds: float = 60) -> Any:
        """Return the value of an expression as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"Not within {seconds} seconds: {expression}\n{self.text()}"
            time.sleep(0.05)
        return value

    def text(self) -> object:
        return self.evaluate("document.body.innerText")

    def click(self, selector: str, *, index: int = 0) -> None:
        """Click into the upper part of an element, as a person who sees it."""
        element = f"document.querySelectorAll({selector!r})[{index}]"
        self.wait(f"!!{element}")
        x, y = self.evaluate(  # type: ignore[misc]
            f"(box => [box.x + box.width / 2, box.y + Math.min(10, box.height / 2)])"
            f"(({element}.scrollIntoView({{block: 'center'}}), {element}.getBoundingClientRect()))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, *, shift: bool = False, control: bool = False) -> None:
        """Press one key."""
        code = {"Enter": 13, "Escape": 27}.get(key) or ord(key.upper())
        modifiers = {"modifiers": 8 * shift + 2 * control, "key": key, "windowsVirtualKeyCode": code}
        physical = {"code": key if len(key) > 1 else f"Key{key.upper()}"}
        text = {"text": "\r" if key == "Enter" else key} if not control and key != "Escape" else {}
        self._ask("Input.dispatchKeyEvent", type="keyDown", **modifiers, **physical, **text)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **modifiers, **physical)

    def screenshot(self, file: Path) -> Path:
        file.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))
        return file


class Browser:
    """A headless Chromium with an empty profile."""

    def __init__(self, program: str, profile: Path) -> None:
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = next((line for line in self._process.stderr if "listening on ws://" in line), None)
        assert line, f"{program} ended with {self._process.wait()} before it could be asked anything."
        # What it says later is of no use, but a full pipe would stop it.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        self._loop = asyncio.new_event_loop()
        self._events: list[dict] = []
        self._number = 0
        self._socket = self._loop.run_until_complete(self._connect("ws://" + line.rpartition("ws://")[2].strip()))

    async def _connect(self, address: str) -> aiohttp.ClientWebSocketResponse:
        self._session = aiohttp.ClientSession()
        return await self._session.ws_connect(address, max_msg_size=0)

    async def _converse(self, message: dict | None, until: Callable[[dict], bool]) -> dict:
        async with asyncio.timeout(60):
            if message:
                await self._socket.send_json(message)
            while True:
                received = await self._socket.receive_json()
                self._events.append(received)
                if until(received):
                    return received

    def _ask(self, method: str, session: str | None = None, **parameters: object) -> dict:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        answer = self._loop.run_until_complete(self._converse(message, lambda received: received.get("id") == number))
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, address: str, *, width: int = DESKTOP, dark: bool = False, media: str = "") -> Page:
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

        def ask(method: str, **parameters: object) -> dict:
            return self._ask(method, session, **parameters)

        for domain in ("Page", "Network", "Runtime", "Log"):
            ask(f"{domain}.enable")
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE}
        ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._events.clear()
        ask("Page.navigate", url=address)
        if not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            loaded = self._converse(None, lambda event: event.get("method") == "Page.loadEventFired")
            self._loop.run_until_complete(loaded)
        # One more turn of the page's own loop, for what a script or a broken picture starts after loading.
        ask("Runtime.evaluate", expression="new Promise(done => setTimeout(done))", awaitPromise=True)
        return Page(ask, lambda: [event for event in self._events if event.get("sessionId") == session])

    def close(self) -> None:
        self._ask("Browser.close")
        self._loop.run_until_complete(self._session.close())
        self._loop.close()
        self._process.wait(timeout=30)

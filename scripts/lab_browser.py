"""Run the distillation lab's JavaScript from Python, in Chromium without a visible page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from make_pdf import find_browser  # noqa: E402

from dmws_lite.classroom.lab_presets import engine_script  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu"]
# A number that is not finite has no place in JSON; null says so.
CALL = "([body, given]) => JSON.stringify(new Function('lab', 'given', body)(window.lab, JSON.parse(given)))"
LOAD = """async (text) => {
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  window.lab = await import(address);
}"""


class Engine:
    """The lab's engine in a page of a running browser.

    Args:
        browser: of playwright.
    """

    def __init__(self, browser: object) -> None:
        self._page = browser.new_page()
        self._page.set_default_timeout(600_000)
        self._page.evaluate(LOAD, engine_script())

    def run(self, body: str, given: object = None) -> object:
        """Run the body of a JavaScript function and return what it returns, by way of JSON.

        Args:
            body: it sees ``lab``, the engine's exports, and ``given``. Make typed arrays plain with ``Array.from``.
            given: anything that JSON can hold.
        """
        answer = self._page.evaluate(CALL, [body, json.dumps(given)])
        return None if answer is None else json.loads(answer)


@contextmanager
def engine() -> Iterator[Engine]:
    """Start Chromium with the engine in it.

    Raises:
        make_pdf.PrintError: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser(), args=FLAGS)
        yield Engine(browser)
        browser.close()

"""Chromium for the tests: pages are opened from disk, every outside request refused, as on a machine without network.

Debian and Ubuntu: ``sudo apt install chromium``; others: Chromium or Chrome on the PATH, or its path in ``CHROMIUM``.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from make_pdf import PrintError, find_browser  # noqa: E402

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The schema checker of the widget manager says this once a page; it is about itself.
HARMLESS = ("strict mode: use allowUnionTypes",)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """A running browser (conftest.py makes it known); the test is skipped where there is none, but not in CI.

    One for each test module: while it runs, nothing else in this process may start an event loop.
    """
    try:
        path = find_browser()
    except PrintError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def open_page(browser, url: str, width: int = 1000, height: int = 900, theme: str = "light", wait: str | None = None):
    """Open a page and return it; ``page.faults`` collects console errors, exceptions and outside requests.

    Args:
        browser: the fixture ``chromium``.
        url: ``file://`` or ``http://127.0.0.1``; any other host is refused and noted as a fault.
        width, height: of the window, in CSS pixels.
        theme: colour scheme that the page is told the reader prefers.
        wait: CSS selector to wait for.
    """
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.set_default_timeout(60_000)
    page.faults = []

    def gate(route) -> None:
        address = route.request.url
        if address.startswith(("file:", "data:", "blob:", "http://127.0.0.1", "http://localhost")):
            route.continue_()
        else:
            page.faults.append(f"outside request: {address}")
            route.abort()

    page.route("**/*", gate)
    page.on("pageerror", lambda error: page.faults.append(f"exception: {error}"))

    def said(message) -> None:
        if message.type == "error" and not any(word in message.text for word in HARMLESS):
            page.faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    page.on("console", said)
    page.goto(url)
    if wait:
        page.wait_for_selector(wait)
    return page


def widget_page(folder: Path, widgets: list, theme: str = "light") -> str:
    """Write a page with widgets and no kernel into a folder and return its address."""
    from vendor import FetchError
    from widget_page import page, place_scripts

    try:
        place_scripts(folder / "vendor")
    except FetchError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    target = folder / "page.html"
    target.write_text(page(widgets, theme), encoding="utf-8")
    return target.as_uri()


def overflow(page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def put(page, widget: str, name: str, value: str) -> None:
    """Choose a value of a widget's control as a user of a keyboard would: sliders by arrow keys, lists by value.

    Args:
        page: from :func:`open_page`.
        widget: its ``data-widget``.
        name: the control's ``data-name``.
        value: the text that the slider shows beside it, or the value of the list's entry.
    """
    control = page.locator(f'[data-widget="{widget}"] [data-name="{name}"]').first
    if control.evaluate("node => node.tagName") == "SELECT":
        control.select_option(value)
        return
    shown = page.locator(f'[data-widget="{widget}"] [data-name="{name}-shown"]').first
    control.focus()
    control.press("Home")
    for _ in range(2000):
        if shown.inner_text().strip() == value:
            return
        control.press("ArrowRight")
    raise AssertionError(f"the slider {name!r} never shows {value!r}")


def number(page, widget: str, name: str) -> float:
    """Return a number that a widget shows, with all its digits."""
    return float(page.locator(f'[data-widget="{widget}"] [data-name="{name}"]').first.get_attribute("data-number"))

"""Headless Chromium for the tests of the two pages; they skip if it is not installed."""

import atexit
import json
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
]  # fmt: skip
BROKEN = """
const found = [], range = document.createRange();
for (const e of document.querySelectorAll('h1, h2, h3, h4, th, .flag, .number, .compared td, .counts td')) {
  const walker = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
  for (let text; text = walker.nextNode();) for (const word of text.data.matchAll(/(--)?[\\w.,>%]+/g)) {
    range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
    const tops = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
    if (tops.size > 1 && !text.parentElement.closest('pre, .outside:not(td)')) found.push(word[0]);
  }
}
return found;"""
SECONDS = 120  # a loaded machine draws slowly


@cache
def start():
    """One browser for all tests of this process, ended with it; a sentence where there is none."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    chromedriver = shutil.which("chromedriver")
    if not (binary and chromedriver):
        return "Chromium is missing: apt-get install chromium chromium-driver"
    try:
        from selenium import webdriver
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        return "selenium is missing: python -m pip install -r requirements-extra.txt"
    profile = tempfile.mkdtemp(prefix="chromium-")
    atexit.register(shutil.rmtree, profile, ignore_errors=True)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    except WebDriverException as error:
        return f"Chromium does not start: {str(error).splitlines()[0]}"
    atexit.register(driver.quit)
    driver.set_page_load_timeout(SECONDS)
    return driver


class Browser:
    """What a test needs of it: a page at a width, in light or dark, its errors, its elements, the mouse."""

    def __init__(self, driver):
        self.driver = driver

    def open(
        self, page: Path, width: int = 1280, dark: bool = False, ready: str = "return true", calm: bool = False
    ) -> None:
        """``calm``: for a reader who wants no motion."""
        self.size(width)
        wanted = {"color-scheme": "dark" if dark else "light", "reduced-motion": "reduce" if calm else "no-preference"}
        features = [{"name": f"prefers-{name}", "value": value} for name, value in wanted.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get_log("browser")  # what an earlier page said
        self.driver.get(page.resolve().as_uri())
        self.wait(ready)

    def expect_whole(self, page: Path, width: int, dark: bool, ready: str) -> None:
        """Open a page: it fits the width, fetches nothing, and the console is silent."""
        self.open(page, width, dark, ready)
        assert self.messages() == []
        assert self.run("return document.documentElement.scrollWidth") <= width
        fetched = "return performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:'))"
        assert self.run(fetched) == []

    def broken(self) -> list[str]:
        """The flags, and the words of headings and of short cells, that run over two lines."""
        return self.run(BROKEN)

    def size(self, width: int) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str, *arguments):
        """Wait until a script returns something true, and return it."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found = self.run(condition, *arguments)
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"not true within {SECONDS} s: {condition}; the console says {self.messages()}")

    def messages(self) -> list[str]:
        """Warnings and errors in the console; each one is a bug of the page."""
        entries = self.driver.get_log("browser")
        return [json.dumps(entry) for entry in entries if entry["level"] not in ("DEBUG", "INFO")]

    def mouse(self, kind: str, x: float, y: float, **more) -> None:
        """``kind``: mouseMoved, mousePressed or mouseReleased."""
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})


@pytest.fixture
def browser() -> Browser:
    driver = start()
    if isinstance(driver, str):
        pytest.skip(driver)
    return Browser(driver)

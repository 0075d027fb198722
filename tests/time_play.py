"""Time the page: python tests/time_play.py RUN [CHROMIUM]. Medians of 50 strokes, for docs/play.md.

The server's time is that of the model's answer; its processor time is what it would be on a machine that does nothing
else. The browser's is from the pen's movement to the painted parse, waiting for the parse before included.
"""

import re
import statistics
import sys
import time

import numpy as np
from record_play import SEVEN, draw, launch, serving

STROKES = 50


def time_server(run: str) -> tuple[float, float]:
    """Return the medians of the clock's and of the processor's milliseconds per parse, in this process."""
    from pathlib import Path

    from examples.playing.answers import Player, warm_up
    from examples.playing.requests import Asked
    from rnp_pyro.api.opening import open_trained

    player = Player(open_trained(Path(run)))
    warm_up(player)
    random, found = np.random.default_rng(0), []
    for _ in range(STROKES):
        ink = np.zeros((112, 112), int)
        row, column = random.integers(10, 50, size=2)
        ink[row : row + 50, column : column + 10] = 255
        asked = Asked({"ink": ink.tolist()})
        begin = time.perf_counter(), time.process_time()
        player.answer("parse", asked)
        found.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    clock, processor = zip(*found, strict=True)
    return 1000 * statistics.median(clock), 1000 * statistics.median(processor)


def time_browser(run: str, chromium: str) -> tuple[float, float]:
    """Return the medians of the server's and of all milliseconds per stroke, as the page shows them."""
    from playwright.sync_api import sync_playwright

    found = []
    with serving(run) as address, sync_playwright() as play:
        browser = launch(play, chromium)
        page = browser.new_page(viewport={"width": 1180, "height": 900})
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        for at in range(STROKES):
            page.click("#clear")
            draw(page, [SEVEN[at % 2]], steps=4)
            page.wait_for_selector("#numbers:not(:empty)")
            page.wait_for_timeout(200)
            numbers = re.search(r"(\d+) ms in the model, (\d+) ms in all", page.text_content("#numbers"))
            assert numbers is not None
            found.append((int(numbers[1]), int(numbers[2])))
        browser.close()
    server, whole = zip(*found, strict=True)
    return statistics.median(server), statistics.median(whole)


def main(run: str, chromium: str) -> None:
    """Print the medians."""
    clock, processor = time_server(run)
    print(f"server alone: {clock:.0f} ms per parse, {processor:.0f} ms of processor time")
    server, whole = time_browser(run, chromium)
    print(f"with a browser: {server:.0f} ms in the model, {whole:.0f} ms from stroke to parse")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "/usr/bin/chromium")

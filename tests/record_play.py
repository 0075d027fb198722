"""Make docs/play.png and docs/play.gif: python tests/record_play.py RUN [CHROMIUM].

A headless browser draws a seven on the page that ``examples.play`` serves with the run, lights up a part and moves it.
"""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SEVEN = [((0.28, 0.27), (0.74, 0.25)), ((0.74, 0.25), (0.45, 0.8))]
"""Lines of a seven, over [0, 1] on the pad."""

COLOURS, MILLISECONDS, WIDTH = 128, 110, 800
"""Of the animation: colours, time per frame, and pixels across."""


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Serve the page in a process of its own on a free port; yield its address."""
    command = [sys.executable, "-m", "examples.play", *arguments, "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None, "the page is not served"
            yield found[0]
        finally:
            process.terminate()


def launch(play: Any, chromium: str) -> Any:
    """Start the browser; without its sandbox only where it runs as root, which the sandbox refuses."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    return play.chromium.launch(executable_path=chromium, args=options)


def draw(page: Any, lines: Any = SEVEN, steps: int = 8, after: Any = lambda: None) -> None:
    """Draw lines that hang together with the mouse; ``after`` is called after each movement."""
    box = page.locator("#pad").bounding_box()

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    page.mouse.move(*at(lines[0][0]))
    page.mouse.down()
    for begin, end in lines:
        for step in range(1, steps + 1):
            share = step / steps
            page.mouse.move(*at((begin[0] + share * (end[0] - begin[0]), begin[1] + share * (end[1] - begin[1]))))
            after()
    page.mouse.up()


def settled(page: Any) -> None:
    """Wait until the last stroke has been parsed and the draws are there."""
    page.wait_for_selector("#draws figure")
    page.wait_for_timeout(400)


def part_centre(page: Any, at: int) -> tuple[float, float]:
    """Return where the middle of the chosen part is on the screen."""
    box = page.locator("#handles polygon").nth(at).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def record(address: str, chromium: str) -> list[Image.Image]:
    """Play the page, and return frames of it."""
    from playwright.sync_api import sync_playwright

    frames: list[Image.Image] = []
    with sync_playwright() as play:
        browser = launch(play, chromium)
        page = browser.new_page(viewport={"width": 1180, "height": 700})

        def take(times: int = 1) -> None:
            page.wait_for_timeout(120)
            frames.extend([Image.open(io.BytesIO(page.screenshot())).convert("RGB")] * times)

        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        take(3)
        draw(page, steps=6, after=take)
        settled(page)
        take(5)
        for part in range(2):
            page.locator("#tree > li > ul > li > canvas").nth(part).hover()
            take(4)
        page.locator("#tree > li > ul > li > canvas").nth(2).click()
        take(2)
        x, y = part_centre(page, 0)
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(1, 9):
            page.mouse.move(x + 9 * step, y - 4 * step)
            take()
        page.mouse.up()
        take(8)
        browser.close()
    return frames


def main(run: str, chromium: str) -> None:
    """Write the picture and the animation."""
    with serving(run) as address:
        frames = record(address, chromium)
    height = round(WIDTH * frames[0].height / frames[0].width)
    small = [one.resize((WIDTH, height), Image.Resampling.LANCZOS) for one in frames]
    # One palette for all: what does not change between frames then takes no space.
    both = Image.new("RGB", (WIDTH, 2 * height))
    both.paste(small[len(small) // 2], (0, 0))
    both.paste(small[-1], (0, height))
    palette = both.quantize(COLOURS, kmeans=3)
    few = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in small]
    few[0].save(
        ROOT / "docs/play.gif", save_all=True, append_images=few[1:], duration=MILLISECONDS, loop=0, optimize=True
    )
    frames[-1].quantize(128, dither=Image.Dither.NONE).save(ROOT / "docs/play.png", optimize=True)
    for name in ("play.gif", "play.png"):
        print(f"docs/{name}: {(ROOT / 'docs' / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "/usr/bin/chromium")

"""The page in a real browser: drawn on by mouse and by keyboard, on a phone's width, alone with its server."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from record_play import draw, launch, part_centre, serving, settled

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_a_browser_is_looked_for():
    """Where there is none, the tests below say so and are skipped."""
    assert CHROMIUM is None or shutil.which(CHROMIUM)


@pytest.fixture(scope="session")
def address(digits_run) -> Iterator[str]:
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install -y chromium")
    with serving(str(digits_run[0])) as found:
        yield found


@pytest.fixture(scope="session")
def browser(address: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as play:
        found = launch(play, CHROMIUM or "")
        yield found
        found.close()


@pytest.fixture
def open_page(browser, address: str):
    """Open the page; at the end nothing may have gone wrong in it, and no request may have gone elsewhere."""
    wrong: list[str] = []
    asked: list[str] = []
    pages = []

    def page(width: int = 1180, height: int = 900) -> Any:
        found = browser.new_page(viewport={"width": width, "height": height})
        pages.append(found)
        found.on("console", lambda message: wrong.append(message.text) if message.type != "log" else None)
        found.on("pageerror", lambda error: wrong.append(str(error)))
        found.on("request", lambda request: asked.append(request.url))
        found.goto(address)
        found.wait_for_selector("html[data-ready]")
        return found

    yield page
    for one in pages:
        one.close()
    assert wrong == []
    assert asked
    assert all(url.startswith((address, "data:")) for url in asked)


PART = "#tree > li > ul > li"


def image_of(page: Any) -> str:
    return page.evaluate("document.getElementById('reconstruction').toDataURL()")


@pytest.mark.thorough
def test_a_seven_is_drawn_and_its_part_is_dragged(open_page):
    page = open_page()
    draw(page)
    settled(page)
    assert page.locator(PART).count() == 3  # the tiny run's; a preset's have four
    assert page.locator(f"{PART} [role=treeitem]").count() == 6
    assert "nats" in page.text_content("#bound")
    assert page.locator("#draws canvas").count() == 9
    before = image_of(page)
    page.locator(f"{PART} > canvas").first.click()
    assert page.locator(PART).first.get_attribute("aria-selected") == "true"
    x, y = part_centre(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 30, steps=5)
    page.mouse.up()
    page.wait_for_function("before => document.getElementById('reconstruction').toDataURL() !== before", arg=before)
    page.wait_for_timeout(300)
    page.click("#undo-edit")
    assert image_of(page) == before


@pytest.mark.thorough
def test_a_node_that_is_hovered_lights_up_in_the_image(open_page):
    page = open_page()
    draw(page)
    settled(page)
    shown = "document.getElementById('image').toDataURL()"
    before = page.evaluate(shown)
    page.locator(f"{PART} > canvas").nth(1).hover()
    assert page.evaluate(shown) != before
    page.mouse.move(5, 5)
    assert page.evaluate(shown) == before


@pytest.mark.thorough
def test_the_keyboard_alone_does_it_all(open_page):
    page = open_page()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none" or selector.startswith("#tree"), "focus is seen"
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#pad")
    page.keyboard.press(" ")
    for key in ["ArrowRight"] * 12 + ["ArrowDown", "ArrowLeft", "ArrowDown"] * 6:
        page.keyboard.press(key)
    page.keyboard.press(" ")
    settled(page)
    before = image_of(page)
    tab_to("#stage")
    page.keyboard.press("2")
    for key in ("ArrowRight", "ArrowRight", ".", "+"):
        page.keyboard.press(key)
    page.wait_for_function("before => document.getElementById('reconstruction').toDataURL() !== before", arg=before)
    page.wait_for_timeout(300)
    for _ in range(4):
        page.keyboard.press("Control+z")
    assert image_of(page) == before
    tab_to("#tree [role=treeitem]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Part 2, red"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Sub-part 2.1, blue"
    page.keyboard.press("Enter")
    assert page.text_content("#chosen") == "Sub-part 2.1, blue"
    tab_to("#sample")
    page.keyboard.press("Enter")
    page.wait_for_function("before => document.getElementById('reconstruction').toDataURL() !== before", arg=before)


@pytest.mark.thorough
def test_two_drawings_are_mixed_and_swapped_and_a_half_is_completed(open_page):
    page = open_page()
    draw(page)
    settled(page)
    assert page.is_disabled("#swap")
    page.click("#slot-B")
    draw(page, [((0.5, 0.2), (0.5, 0.8))])
    settled(page)
    second = image_of(page)
    page.click("#swap")
    page.wait_for_function("before => document.getElementById('reconstruction').toDataURL() !== before", arg=second)
    page.click("#undo-edit")
    assert image_of(page) == second
    page.locator("#weight").fill("0.5")
    page.wait_for_selector("text=50 % A, 50 % B")
    page.click("text=left")
    page.click("#complete")
    page.wait_for_selector("#completions figure")
    assert page.locator("#completions figure").count() == 8
    assert "k-hat" in page.text_content("#completed")


@pytest.mark.thorough
def test_a_phone_shows_it_without_scrolling_sideways(open_page):
    page = open_page(360, 740)
    draw(page)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = """[...document.querySelectorAll('body *')].filter(one => one.offsetParent !== null
        && !one.closest('.skip') && one.getBoundingClientRect().right > 361).map(one => one.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []
    small = """[...document.querySelectorAll('body *')].filter(one => one.textContent.trim()
        && parseFloat(getComputedStyle(one).fontSize) < 12).length"""
    assert page.evaluate(small) == 0

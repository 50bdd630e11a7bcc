"""The page in a real browser: from a file, with no network, and with hostile model text."""

from __future__ import annotations

import time

import pytest

from ponder.report.page import write_report

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium), args=list(QUIET))
        yield running
        running.close()


@pytest.fixture(scope="module")
def hostile(build_measurement, tmp_path_factory):
    return write_report(build_measurement(tasks=2, planted=True), tmp_path_factory.mktemp("hostile")).html


@pytest.fixture
def visit(browser, hostile):
    """Open the page in a fresh offline context; yields (page, troubles, requests)."""
    contexts = []

    def opened(**options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        troubles, requests = [], []
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(hostile.as_uri())
        return page, troubles, requests

    yield opened
    for context in contexts:
        context.close()


def _settled(page, charts=4):
    page.wait_for_function(f"document.querySelectorAll('.chart[data-live]').length === {charts}")


def test_it_opens_offline_without_a_request_or_a_complaint(visit):
    page, troubles, requests = visit()
    _settled(page)
    assert troubles == []
    assert [r for r in requests if not r.startswith("file:") or not r.endswith("report.html")] == []


def test_both_figures_are_drawn_and_the_keyboard_switches_them(visit):
    page, _, _ = visit()
    _settled(page)
    tokens, flop = (
        page.locator("figure.tokens .chart svg").first,
        page.locator("figure.flop .chart svg").first,
    )
    assert page.locator(".chart svg").count() == 4
    assert tokens.is_visible()
    assert not flop.is_visible()
    page.locator("#axis-tokens").focus()
    page.keyboard.press("ArrowRight")
    assert flop.is_visible()
    assert not tokens.is_visible()
    box = flop.bounding_box()
    assert box["width"] > 200
    assert box["height"] > 150


def test_planted_markup_is_inert(visit):
    page, _, _ = visit()
    _settled(page)
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0
    assert page.get_by_text("window.pwned=1").count() > 3


def test_the_policy_stops_a_script_that_would_get_in(visit):
    """The policy is a second wall: it holds where escaping has already failed."""
    page, troubles, _ = visit()
    _settled(page)
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"x:\" onerror=\"window.pwned=3\">')"
    )
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.pwned=4'}))"
    )
    until = time.monotonic() + 30
    while not any("Content Security Policy" in trouble for trouble in troubles):
        assert time.monotonic() < until, "nothing was stopped"
        page.wait_for_timeout(50)
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None


def test_without_javascript_the_figures_are_there(visit):
    page, troubles, _ = visit(java_script_enabled=False)
    assert page.locator("figure.tokens .chart svg").count() == 2
    assert page.locator("figure.tokens .chart svg").first.is_visible()
    page.locator("label[for=axis-flop]").click()
    assert page.locator("figure.flop .chart svg").first.is_visible()
    assert troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_a_phone_and_text_is_legible(visit, scheme):
    page, _, _ = visit(viewport={"width": 375, "height": 800}, color_scheme=scheme)
    _settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    paper, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert _contrast(paper, ink) > 7
    label = page.locator(".chart svg text").first
    assert _contrast(paper, label.evaluate("e => getComputedStyle(e).fill")) > 7


def test_the_table_of_six_tasks_is_whole_on_a_desktop(browser, build_measurement, tmp_path):
    html = write_report(build_measurement(tasks=6), tmp_path).html
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(html.as_uri())
    hidden = page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.scroll'))")
    context.close()
    assert hidden <= 0


def _contrast(a, b):
    """The contrast ratio of two opaque CSS colours (WCAG 2.2)."""

    def luminance(colour):
        channels = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)

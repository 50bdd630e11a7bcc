"""The page in a real browser: by keyboard, streamed, without JavaScript, and with hostile model text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ponder.core import Output, Request
from ponder.serve.house import Options
from tests.serve.serving import SUMMARY, Serving, key_file, serving, thinker
from tests.serve.test_live import Behind, Writer, warm, words

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECRET = "MK4f00ba4c0ffeeQ is what I never tell anybody, whatever they say"
HOSTILE = "<script>window.pwned=1</script><img src=x onerror=window.pwned=2>\x1b[31m\u202egnp.exe"


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium), args=list(QUIET))
        yield running
        running.close()


@dataclass
class Visit:
    """A page, what it complained of, and what it asked for."""

    page: Any
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def opened(address: str, **options: Any) -> Visit:
        context = browser.new_context(**options)
        contexts.append(context)
        made = Visit(context.new_page())
        made.page.on("console", lambda message: made.troubles.append(message.text))
        made.page.on("pageerror", lambda error: made.troubles.append(str(error)))
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.goto(address)
        return made

    yield opened
    for context in contexts:
        context.close()


def hostile(request: Request, position: int) -> str | Output:
    return Output(f"{SECRET}\nAnswer: {HOSTILE}", reasoning=SECRET)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Without keys; a call takes a moment, so that there is something to watch."""
    with serving(tmp_path_factory.mktemp("local"), thinker(seconds=0.4)) as served:
        yield served


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("keyed")
    path, keys = key_file(folder, alice="user", eve="auditor", olga="operator")
    with serving(folder, thinker(hostile), keys=path) as served:
        yield served, keys


def sign_in(page: Any, key: str) -> None:
    page.get_by_label("Key").fill(key)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def until(page: Any, true: Callable[[], bool]) -> None:
    """Wait, while the browser goes on telling what happens in it."""
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends, "it did not come to be"
        page.wait_for_timeout(50)


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.value"))


def test_one_asks_by_keyboard_alone_and_hears_the_answer(visit: Callable[..., Visit], local: Serving) -> None:
    visited = visit(local.address)
    page = visited.page
    assert focused(page) == "question"
    page.keyboard.type("What is 9 + 4?")
    page.keyboard.press("Tab")
    assert focused(page) == "medium"
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "low"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for()
    page.locator("#answer:focus").wait_for()
    assert page.locator("pre.answer").inner_text() == "13"
    assert page.locator("#status").inner_text() == "The answer is there."
    assert SUMMARY in page.locator("#outcome").inner_text()
    assert "/answers/" in page.url
    shown = page.locator("#outcome").inner_text()
    page.reload()
    assert page.locator("#outcome").inner_text() == shown
    assert visited.troubles == []
    assert all(url.startswith(local.address) or url == "data:," for url in visited.requests)


def test_one_watches_it_think(visit: Callable[..., Visit], local: Serving) -> None:
    page = visit(local.address).page
    page.get_by_label("Question").fill("What is 9 + 4?")
    page.get_by_label("high", exact=False).first.check(force=True)
    page.evaluate(
        """() => {
          window.seen = {};
          new MutationObserver(() => {
            for (const each of document.querySelectorAll("[data-figure], #summary"))
              (window.seen[each.dataset.figure ?? "summary"] ??= new Set()).add(each.textContent);
          }).observe(document.getElementById("thinking"), {subtree: true, childList: true});
        }"""
    )
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Ask").click()
    assert page.locator("#thinking").is_visible()
    assert page.locator("#status").inner_text() == "Thinking."
    page.locator("#answer").wait_for()
    seen = page.evaluate("Object.fromEntries(Object.entries(window.seen).map(([k, v]) => [k, [...v]]))")
    assert any(" s" in text for text in seen["elapsed"])
    assert any(text not in ("0", "unknown") for text in seen["tokens"])
    assert any(text not in ("0", "unknown") for text in seen["flop"])
    assert "100%" in seen["agreement"]
    assert SUMMARY in seen["summary"]
    assert not page.locator("#thinking").is_visible()


def test_a_direct_answer_grows_where_it_will_stand(visit: Callable[..., Visit], tmp_path: Path) -> None:
    writer = Writer(words("Nine <b>and</b> ", "four ", "are thirteen."), waits=2)
    with Behind(tmp_path, writer) as served:
        warm(served)
        visited = visit(served.address)
        page = visited.page
        page.get_by_label("Question").fill("What is 9 + 4?")
        page.get_by_role("radio", name="none").check(force=True)
        page.get_by_role("button", name="Ask").click()
        growing = page.locator("#written")
        page.locator("#written", has_text="four").wait_for()
        assert writer.written <= 2, "the rest is not written yet"
        assert growing.text_content() == "Nine <b>and</b> four "
        assert page.locator("#status").inner_text() == "The answer is being written."
        assert growing.evaluate("e => e.closest('[aria-live], [role=status], [role=alert]')") is None
        assert page.get_by_role("button", name="Stop").is_visible()
        place = growing.bounding_box()
        writer.go.set()
        page.locator("#answer").wait_for()
        assert page.locator("pre.answer").text_content() == "Nine <b>and</b> four are thirteen."
        assert page.locator("pre.answer").bounding_box()["y"] == place["y"]
        assert page.get_by_role("heading", name="Answer").count() == 1
        assert not growing.is_visible()
        assert page.locator("#status").inner_text() == "The answer is there."
        assert visited.troubles == []


def test_what_was_written_of_a_stopped_answer_stays(visit: Callable[..., Visit], tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user")
    with Behind(tmp_path, Writer(words("Nine ", "and four"), waits=1), keys=path) as served:
        warm(served, keys["alice"])
        page = visit(served.address).page
        sign_in(page, keys["alice"])
        page.get_by_label("Question").fill("What is 9 + 4?")
        page.get_by_role("radio", name="none").check(force=True)
        page.keyboard.press("Control+Enter")
        page.locator("#written", has_text="Nine").wait_for()
        page.get_by_role("button", name="Stop").press("Enter")
        page.locator("#failed").wait_for()
        assert page.locator("#written").text_content() == "Nine "
        assert page.get_by_role("heading", name="Answer, as far as it came").is_visible()
        assert not page.get_by_role("button", name="Stop").is_visible()
        page.locator("#ask button:focus").wait_for()
        until(page, lambda: served.server.house.purse.running == 0)
        page.get_by_role("link", name="Answers").click()
        page.locator("tbody a").first.click()
        assert page.locator("pre.answer").text_content() == "Nine "
        assert page.get_by_text("It was stopped before its end.").is_visible()


def test_stopping_ends_the_work(visit: Callable[..., Visit], tmp_path: Path) -> None:
    with serving(tmp_path, thinker(seconds=30)) as served:
        page = visit(served.address).page
        page.get_by_label("Question").fill("What is 9 + 4?")
        page.get_by_role("radio", name="low").focus()  # from wherever in the form one is
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="Stop").click()
        page.locator("#failed").wait_for()
        assert "Stopped" in page.locator("#failed").inner_text()
        until(page, lambda: served.server.house.purse.running == 0)
        assert page.get_by_role("button", name="Ask").is_enabled()


def test_a_failure_is_told_where_one_looks(visit: Callable[..., Visit], tmp_path: Path) -> None:
    failing = thinker(fail=lambda k: RuntimeError("secret words of the inside"))
    with serving(tmp_path, failing, options=Options(usual="low")) as served:
        page = visit(served.address).page
        page.get_by_label("Question").fill("What is 9 + 4?")
        page.get_by_role("button", name="Ask").click()
        page.locator("#failed").wait_for()
        told = page.locator("#failed").inner_text()
    assert "failed" in told
    assert "inside" not in told


def test_without_javascript_the_form_leads_to_the_answer(visit: Callable[..., Visit], local: Serving) -> None:
    page = visit(local.address, java_script_enabled=False).page
    page.get_by_label("Question").fill("What is 9 + 4?")
    page.get_by_role("button", name="Ask").click()
    assert page.locator("pre.answer").inner_text() == "13"
    assert "/answers/" in page.url


def test_hostile_output_runs_nowhere_and_no_policy_is_broken(
    visit: Callable[..., Visit], keyed: tuple[Serving, dict[str, str]]
) -> None:
    served, keys = keyed
    user = visit(served.address)
    sign_in(user.page, keys["alice"])
    user.page.get_by_label("Question").fill(f"Say {HOSTILE}".replace("\x1b", ""))
    user.page.get_by_role("button", name="Ask").click()
    user.page.locator("#answer").wait_for()
    assert "<script>window.pwned=1</script>" in user.page.locator("pre.answer").inner_text()
    assert "MK4f" not in user.page.content()
    auditor = visit(served.address)
    sign_in(auditor.page, keys["eve"])
    auditor.page.locator("tbody a").first.click()
    auditor.page.get_by_role("heading", name="Samples").wait_for()
    auditor.page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert auditor.page.get_by_text("MK4f").count() >= 3
    for visited in (user, auditor):
        assert visited.page.evaluate("window.pwned") is None
        assert visited.page.locator("img").count() == 0
        assert visited.troubles == []


def test_the_policy_holds_where_escaping_would_fail(visit: Callable[..., Visit], local: Serving) -> None:
    visited = visit(local.address)
    for attack in (
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.pwned=3>')",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.pwned=4'}))",
        "fetch('https://example.com/')",
    ):
        visited.page.evaluate(f"(async () => {{ try {{ await ({attack}) }} catch {{}} }})()")
    said = ("Content Security Policy", "TrustedHTML")
    until(visited.page, lambda: any(word in each for word in said for each in visited.troubles))
    visited.page.wait_for_timeout(200)
    assert visited.page.evaluate("window.pwned") is None


def test_signing_out_shows_the_sign_in(
    visit: Callable[..., Visit], keyed: tuple[Serving, dict[str, str]]
) -> None:
    served, keys = keyed
    page = visit(served.address).page
    sign_in(page, "pk-000000000000-wrong")
    assert "not in force" in page.get_by_role("alert").inner_text()
    sign_in(page, keys["olga"])
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("link", name="Keys").click()
    page.get_by_text("alice").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Key").wait_for()


def test_one_finds_an_answer_again_and_an_operator_erases_it_by_keyboard(
    visit: Callable[..., Visit], tmp_path: Path
) -> None:
    path, keys = key_file(tmp_path, alice="user 9requests", olga="operator")
    with serving(tmp_path, thinker(), keys=path) as served:
        user, operator = visit(served.address), visit(served.address)
        sign_in(user.page, keys["alice"])
        user.page.keyboard.type("What is 9 + 4?")
        user.page.keyboard.press("Control+Enter")
        user.page.locator("#answer").wait_for()
        identity = user.page.url.rpartition("/")[2]
        user.page.get_by_role("link", name="Answers").press("Enter")
        user.page.get_by_role("heading", name="What is left").wait_for()
        assert "9 requests" in user.page.locator("main").inner_text()
        user.page.locator("tbody a").first.press("Enter")
        user.page.locator("#answer").wait_for()
        assert user.page.locator("pre.answer").inner_text() == "13"
        sign_in(operator.page, keys["olga"])
        operator.page.get_by_role("link", name="Erase").press("Enter")
        operator.page.get_by_label("Id of the request").focus()
        operator.page.keyboard.type(identity)
        operator.page.keyboard.press("Tab")
        assert focused(operator.page) == "reason"
        operator.page.keyboard.type("asked for by alice")
        with operator.page.expect_navigation():
            operator.page.keyboard.press("Enter")
        assert identity in operator.page.locator("tbody").inner_text()
        assert user.page.reload().status == 404
        user.page.goto(f"{served.address}/answers")
        assert user.page.locator("tbody a").count() == 0
        assert "erased" in user.page.locator("tbody").first.inner_text()
        assert operator.troubles == []


PATHS = {
    "alice": ("/", "/usage", "/answers", "/nowhere", "/ask", "/keys"),
    "eve": ("/requests", "/runs"),
    "olga": ("/keys", "/erase"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_a_phone_and_text_is_legible(
    visit: Callable[..., Visit], keyed: tuple[Serving, dict[str, str]], scheme: str
) -> None:
    served, keys = keyed
    options = {"viewport": {"width": 360, "height": 800}, "color_scheme": scheme}
    for name, paths in PATHS.items():
        page = visit(served.address, **options).page
        sign_in(page, keys[name])
        for path in paths:
            page.goto(served.address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
            dim = page.evaluate(CONTRASTS)
            assert [each for each in dim if each[1] < 4.5] == []


CONTRASTS = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && !e.matches(":disabled"))
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
      return [e.tagName + " " + e.textContent.trim().slice(0, 30), (a + 0.05) / (b + 0.05)];
    });
}"""

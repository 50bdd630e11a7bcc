"""The page as a browser gets it, without one: who sees what, and what no page holds."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx2
import pytest

from ponder.core import Output, Request
from ponder.engines.scripted import ScriptedEngine
from ponder.ledger import EventRow
from ponder.serve.alerting import RUN
from ponder.serve.keys import KeyFile
from ponder.serve.page.session import LIFE_SECONDS, Sessions
from tests.serve.browsing import Browsing
from tests.serve.serving import MODEL, SUMMARY, Serving, key_file, serving, thinker

HOSTILE = "<script>window.pwned=1</script>\x1b[31m\u202egnp.exe\u2066"
SECRET = "MK4f00ba4c0ffeeQ is what I never tell anybody, whatever they say"


def secretive(request: Request, position: int) -> str | Output:
    return Output(f"{SECRET}\nAnswer: 13{HOSTILE}", reasoning=f"again: {SECRET}")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, dict[str, str], Path]]:
    folder = tmp_path_factory.mktemp("paged")
    path, keys = key_file(folder, alice="user 1000requests/day", bob="user", eve="auditor", olga="operator")
    with serving(folder, thinker(secretive), keys=path) as served:
        yield served, keys, path


@pytest.fixture(scope="module")
def alice(house: tuple[Serving, dict[str, str], Path]) -> Browsing:
    return Browsing(house[0], house[1]["alice"])


@pytest.fixture(scope="module")
def eve(house: tuple[Serving, dict[str, str], Path]) -> Browsing:
    return Browsing(house[0], house[1]["eve"])


PAGES = ("/", "/requests", "/requests/export", "/runs", "/keys", "/report", "/usage")
SEEN = {
    "alice": {"/", "/usage"},
    "eve": {"/requests", "/requests/export", "/runs", "/usage"},
    "olga": {"/", "/runs", "/keys", "/report", "/usage"},
}


@pytest.mark.parametrize("name", SEEN)
def test_each_role_sees_its_pages(house: tuple[Serving, dict[str, str], Path], name: str) -> None:
    browsing = Browsing(house[0], house[1][name])
    got = {path: browsing.get(path).status_code for path in PAGES}
    assert {path for path, status in got.items() if status == 200} == SEEN[name]
    assert set(got.values()) <= {200, 303, 403}


def test_from_the_report_a_link_leads_back(house: tuple[Serving, dict[str, str], Path]) -> None:
    assert '<a href="/">' in Browsing(house[0], house[1]["olga"]).get("/report").text


def test_nobody_is_led_to_the_sign_in(house: tuple[Serving, dict[str, str], Path]) -> None:
    nobody = Browsing(house[0])
    assert 'type="password"' in nobody.get("/").text
    for path in PAGES[1:]:
        assert nobody.get(path).headers["location"] == "/"
    assert nobody.ask().headers["location"] == "/"
    streamed = nobody.client.post("/ask", data={"question": "?"}, headers={"accept": "text/event-stream"})
    assert streamed.status_code == 401
    wrong = nobody.client.post("/sign-in", data={"key": "pk-000000000000-" + "a" * 43})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers


OPENED = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_wrong_address_is_a_page_for_a_browser_and_an_error_object_for_programs(
    house: tuple[Serving, dict[str, str], Path], alice: Browsing
) -> None:
    wrong = {"/nowhere": 404, "/usage/": 404, "/v1/chat": 404, "/ask": 405, "/v1/responses": 405}
    for path, status in wrong.items():
        program = alice.get(path)
        opened = alice.client.get(path, headers=OPENED)
        assert program.status_code == opened.status_code == status, path
        assert program.json()["error"]["type"] == "invalid_request_error"
        assert program.headers.get("allow") == opened.headers.get("allow")
        assert opened.headers["content-type"].startswith("text/html")
        assert "default-src 'none'; script-src 'self'" in opened.headers["content-security-policy"]
        assert '<p><a href="/">' in opened.text
        assert "<bdi>alice</bdi>, user" in opened.text
    nobody = Browsing(house[0]).client.get("/nowhere", headers=OPENED)
    assert nobody.status_code == 404
    assert "Sign out" not in nobody.text


def test_what_the_api_refuses_stays_an_error_object(alice: Browsing) -> None:
    assert alice.client.get("/v1/usage", headers=OPENED).json()["error"]["code"] == "invalid_api_key"
    foreign = {**OPENED, "host": "evil.example"}
    assert alice.client.get("/nowhere", headers=foreign).json()["error"]["code"] == "host"


def test_the_cookie_is_no_key_and_no_script_or_other_site_has_it(
    house: tuple[Serving, dict[str, str], Path],
) -> None:
    served, keys, _ = house
    told = Browsing(served).client.post("/sign-in", data={"key": keys["alice"]}).headers["set-cookie"]
    assert keys["alice"].split("-", 2)[2] not in told
    assert {"httponly", "samesite=strict", "path=/"} <= set(told.lower().replace("; ", ";").split(";"))
    assert "secure" not in told.lower()
    proxied = {"origin": served.address.replace("http:", "https:")}
    behind = httpx2.post(f"{served.address}/sign-in", data={"key": keys["alice"]}, headers=proxied)
    assert "secure" in behind.headers["set-cookie"].lower()


def test_the_cookie_opens_no_api(alice: Browsing, eve: Browsing) -> None:
    assert alice.client.get("/v1/usage").status_code == 401
    assert eve.client.get("/v1/audit/requests").status_code == 401


def test_signing_out_and_revoking_end_a_session(house: tuple[Serving, dict[str, str], Path]) -> None:
    served, keys, path = house
    bob = Browsing(served, keys["bob"])
    cookie = bob.client.cookies["ponder-session"]
    bob.client.post("/sign-out")
    bob.client.cookies.set("ponder-session", cookie)
    assert bob.get("/usage").status_code == 303
    again = Browsing(served, keys["bob"])
    assert again.get("/usage").status_code == 200
    KeyFile(path).revoke("bob")
    assert again.get("/usage").status_code == 303


def test_a_session_ends_by_itself(house: tuple[Serving, dict[str, str], Path]) -> None:
    now = 1e9
    sessions = Sessions(clock=lambda: now)
    inside = house[0].server.house
    assert inside.keyring is not None
    key = next(key for key in inside.keyring.keys if key.name == "alice")
    token = sessions.open(key)
    assert sessions.find(token, inside) == key
    assert sessions.find(token + "x", inside) is None
    now += LIFE_SECONDS
    assert sessions.find(token, inside) is None


def test_a_form_from_elsewhere_is_refused_and_a_link_is_not(alice: Browsing) -> None:
    address = alice.served.address
    for origin in ("http://evil.example", "null"):
        assert (
            alice.client.post("/ask", data={"question": "?"}, headers={"origin": origin}).status_code == 403
        )
    link = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document", "sec-fetch-mode": "navigate"}
    assert httpx2.get(f"{address}/", headers=link).status_code == 200
    assert httpx2.post(f"{address}/sign-in", data={"key": "x"}, headers=link).status_code == 403
    assert httpx2.get(f"{address}/", headers={**link, "sec-fetch-dest": "iframe"}).status_code == 403


def test_an_answer_is_told_and_nothing_of_its_thought(alice: Browsing) -> None:
    page = alice.answer()
    assert "13" in page.text
    assert SUMMARY in page.text
    assert "adaptive_vote" in page.text
    assert "MK4f" not in page.text
    assert "never tell" not in page.text


def test_a_streamed_answer_tells_progress_and_an_address(alice: Browsing) -> None:
    fields, headers = {"question": "9 + 4?", "effort": "low"}, {"accept": "text/event-stream"}
    told = alice.client.post("/ask", data=fields, headers=headers).text
    assert '{"type":"begun","most":8}' in told
    assert SUMMARY in told
    (address,) = re.findall(r'"address":"(/answers/[0-9a-f]+)"', told)
    assert alice.get(address).status_code == 200
    assert "MK4f" not in told


def test_an_answer_is_its_askers_alone(house: tuple[Serving, dict[str, str], Path], alice: Browsing) -> None:
    address = alice.ask().headers["location"]
    assert Browsing(house[0], house[1]["olga"]).get(address).status_code == 404
    assert Browsing(house[0], house[1]["eve"]).get(address).status_code == 403
    assert alice.get(address + "0").status_code == 404
    for odd in ("%00", "..%2f..%2fetc", "purse", "'; drop table runs; --"):
        assert alice.get(f"/answers/{odd}").status_code == 404


def test_hostile_text_is_inert_wherever_it_is_shown(alice: Browsing, eve: Browsing) -> None:
    question = f"{HOSTILE} {{{{ 7*7 }}}} '\"><img src=x onerror=window.pwned=2>"
    address = alice.ask(question).headers["location"]
    for page in (
        alice.get(address),
        eve.get(address.replace("/answers/", "/requests/")),
        eve.get("/requests"),
    ):
        assert page.status_code == 200
        assert "<script>window" not in page.text
        assert "<img src=x" not in page.text
        assert "7*7 }}" in page.text or "/requests" in str(page.url)
        assert not set(page.text) & set("\x1b\u202e\u2066")


def test_every_page_forbids_all_but_its_own_files(alice: Browsing, eve: Browsing) -> None:
    pages = [
        alice.get("/"),
        alice.answer(),
        eve.get("/requests"),
        alice.get("/keys"),
        Browsing(alice.served).get("/"),
    ]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(
            r"<script(?! src=\"/static/page\.js)|<style| style=| on\w+=|javascript:", page.text
        )
        assert not re.findall(r'(?:src|href|action)="(?!/|#|data:,|\?)', page.text)
        assert page.headers["cache-control"] == "no-store"
    for name in ("page.css", "page.js"):
        assert alice.get(f"/static/{name}").headers["x-content-type-options"] == "nosniff"
    assert alice.get("/static/..%2f__init__.py").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("question=", 400),
        ("question=%20%0A", 400),
        ("effort=low", 400),
        ("question=x&effort=tremendous", 400),
        ("question=%ff", 400),
        ("&".join(f"a{i}=1" for i in range(50)), 400),
    ],
)
def test_a_form_that_cannot_be_is_one_sentence(alice: Browsing, body: str, status: int) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = alice.client.post("/ask", content=body, headers=headers)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert "Traceback" not in answer.text
    assert alice.client.post("/ask", content=body, headers={"content-type": "text/plain"}).status_code == 415


def test_a_user_sees_what_is_left(alice: Browsing) -> None:
    page = alice.get("/usage").text
    assert "1k requests a day" in page
    assert "<meter" in page


def test_the_operator_sees_keys_and_no_hash(house: tuple[Serving, dict[str, str], Path]) -> None:
    page = Browsing(house[0], house[1]["olga"]).get("/keys").text
    for name in ("alice", "eve", "olga"):
        assert name in page
    assert "argon2" not in page
    assert not any(key.split("-", 2)[2] in page for key in house[1].values())


def test_the_operator_sees_alerts(house: tuple[Serving, dict[str, str], Path]) -> None:
    served, keys, _ = house
    detail = {
        "rule": "r",
        "title": "Over the line",
        "name": "alice",
        "key": "k",
        "window": "day",
        "number": 1,
    }
    row = EventRow(RUN, 1e9, "alerted", detail)
    served.server.house.ledger.append([row]).result()
    page = Browsing(served, keys["olga"]).get("/keys").text
    assert re.search(r"<bdi>alice</bdi>: Over the line .*2001-09-09", page)


def test_the_auditor_finds_a_request_and_sees_every_sample_with_its_scores(
    alice: Browsing, eve: Browsing
) -> None:
    question = f"Where is zebra {Random(1).random()}?"
    address = alice.ask(question).headers["location"].replace("/answers/", "/requests/")
    found = eve.get(f"/requests?text={question}").text
    assert re.findall(r'href="(/requests/[0-9a-f]+)"', found) == [address]
    whole = eve.get(address).text
    assert whole.count(f">again: {SECRET}") == 3  # the vote was settled then
    assert "No request matches" in eve.get("/requests?text=no+such+words").text


def test_scores_stand_beside_their_samples(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", eve="auditor")
    engine = ScriptedEngine.drawing({"I add.\nAnswer: 13": 2.0, "I guess.\nAnswer: 12": 1.0}, model=MODEL)
    with serving(tmp_path, engine, keys=path) as served:
        own = {"ponder": {"strategy": "best:by=likelihood,n=5", "summary": False}}
        told = served.client(keys["alice"]).chat.completions.create(
            model="ponder", messages=[{"role": "user", "content": "9 + 4?"}], seed=1, extra_body=own
        )
        page = Browsing(served, keys["eve"]).get(f"/requests/{told.id}").text
    scores = re.findall(r'class="score">likelihood (-[\d.]+)<', page)
    assert len(scores) == 5
    right = set(re.findall(r"<code>13</code>.*?likelihood (-[\d.]+)<", page))
    assert len(right) == 1
    assert right < set(scores)


def test_a_call_that_goes_on_from_a_sample_stands_under_it(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", eve="auditor")

    def steps(request: Request, position: int) -> str:
        return f"step {position}\n\n" if request.stop else "\nAnswer: 13"

    with serving(tmp_path, ScriptedEngine(steps, model=MODEL), keys=path) as served:
        own = {"ponder": {"strategy": "force:waits=1"}}
        told = served.client(keys["alice"]).chat.completions.create(
            model="ponder", messages=[{"role": "user", "content": "9 + 4?"}], extra_body=own
        )
        page = Browsing(served, keys["eve"]).get(f"/requests/{told.id}").text
    assert page.count('<ol class="tree">') > 1


def test_without_keys_there_is_no_trace(tmp_path: Path) -> None:
    with serving(tmp_path, thinker(secretive)) as served:
        local = Browsing(served)
        assert "MK4f" not in local.answer().text
        assert [local.get(path).status_code for path in PAGES] == [200, 403, 403, 200, 403, 200, 200]

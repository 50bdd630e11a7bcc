import json
import stat
import time
from pathlib import Path

import httpx2
import openai
import pytest

from ponder.cli import _app
from ponder.errors import ConfigError, InputError, UnknownName
from ponder.serve.keys import KeyFile, Keyring, new_key
from ponder.serve.server import check_address
from tests.serve.serving import key_file, serving, thinker

MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "What is 9 + 4?"}]


def made(folder: Path, name: str = "alice", role: str = "user", **more: object) -> tuple[Path, str]:
    key, text = new_key(name, role, **more)  # type: ignore[arg-type]
    path = folder / "keys.toml"
    KeyFile(path).add(key)
    return path, text


async def test_a_key_is_found_until_it_is_revoked(tmp_path: Path) -> None:
    path, text = made(tmp_path)
    ring = Keyring(path)
    found = await ring.find(text)
    assert found is not None
    assert (found.name, found.role) == ("alice", "user")
    assert await ring.find(text) == found
    KeyFile(path).revoke("alice")
    assert await ring.find(text) is None


async def test_a_key_that_is_added_counts_at_once(tmp_path: Path) -> None:
    path, _ = made(tmp_path)
    ring = Keyring(path)
    _, text = made(tmp_path, "bob", "auditor")
    found = await ring.find(text)
    assert found is not None
    assert found.role == "auditor"


@pytest.mark.parametrize(
    "wrong", ["", "x", "pk-", "pk-{id}-" + "A" * 43, "pk-000000000000-{secret}", "{key} "]
)
async def test_what_is_not_a_key_is_not_found(tmp_path: Path, wrong: str) -> None:
    path, text = made(tmp_path)
    _, identity, secret = text.split("-", 2)
    ring = Keyring(path)
    assert await ring.find(wrong.format(id=identity, secret=secret, key=text)) is None
    await ring.find(text)
    assert await ring.find(wrong.format(id=identity, secret=secret, key=text)) is None


async def test_an_unknown_id_takes_as_long_as_a_wrong_secret(tmp_path: Path) -> None:
    path, text = made(tmp_path)
    ring = Keyring(path)

    async def fastest(presented: str) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            await ring.find(presented)
            times.append(time.process_time() - began)
        return min(times)

    wrong = await fastest(text[:-20] + "A" * 20)
    unknown = await fastest("pk-000000000000-" + "A" * 43)
    assert unknown > 0.3 * wrong


async def test_a_file_that_cannot_be_read_admits_nobody(tmp_path: Path) -> None:
    path, text = made(tmp_path)
    ring = Keyring(path)
    assert await ring.find(text)
    path.write_text("keys = 7")
    with pytest.raises(ConfigError):
        await ring.find(text)
    path.unlink()
    with pytest.raises(ConfigError):
        await ring.find(text)


def test_the_file_holds_no_secret_and_is_its_owners(tmp_path: Path) -> None:
    path, text = made(tmp_path, limits="1e15flop/day")
    _, _, secret = text.split("-", 2)
    assert secret not in path.read_text()
    assert "$argon2id$" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyFile(path).read()[0].limits == "1e15flop/day"


def test_names_roles_and_limits_are_checked(tmp_path: Path) -> None:
    path, _ = made(tmp_path)
    for name in ("", "a b", 'a"', "ä", "x" * 65):
        with pytest.raises(InputError, match="name"):
            new_key(name, "user")
    with pytest.raises(UnknownName):
        new_key("a", "root")
    with pytest.raises(InputError, match="budget"):
        new_key("a", "user", limits="5apples/day")
    with pytest.raises(InputError, match="has a key already"):
        KeyFile(path).add(new_key("alice", "user")[0])
    with pytest.raises(UnknownName):
        KeyFile(path).revoke("bob")


@pytest.mark.parametrize(
    "text",
    [
        "keys = [1]",
        "[[keys]]\nid = 'x'",
        "[[keys]]\nid = '000000000000'\nname = 'a'\nrole = 'root'\nhash = ''",
        "[[keys]]\nid = '000000000000'\nname = 'a'\nrole = 'user'\nhash = ''\nlimits = 'x'",
        "other = 1",
        "\xff",
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text, "latin-1")
    with pytest.raises(ConfigError, match="keys"):
        Keyring(path)


def test_without_keys_only_this_machine_is_listened_to() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        check_address(host, keys=False)
    check_address("0.0.0.0", keys=True)
    for host in ("0.0.0.0", "192.168.1.1", "example.org", "::"):
        with pytest.raises(InputError, match="--keys"):
            check_address(host, keys=False)


def test_the_list_cuts_nothing_on_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = ["--keys", str(tmp_path / "keys.toml")]
    budget = "1e15flop/day,60requests/minute,5usd/month"
    assert _app.run(["keys", "add", "alice", "--budget", budget, "--concurrency", "4", *file]) == 0
    row = KeyFile(tmp_path / "keys.toml").read()[0]
    capsys.readouterr()
    assert _app.run(["keys", "list", *file]) == 0
    told = capsys.readouterr().out
    assert "…" not in told
    assert all(word in told for word in (row.id, "alice", "user", *budget.split(","), f"since {row.created}"))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--keys", str(tmp_path / "keys.toml")]
    assert _app.run(["keys", "add", "alice", "--budget", "1e15flop/day", "--concurrency", "2", *file]) == 0
    assert capsys.readouterr().out.startswith("pk-")
    assert _app.run(["keys", "add", "eve", "--role", "auditor", "--json", *file]) == 0
    assert json.loads(capsys.readouterr().out)["role"] == "auditor"
    assert _app.run(["keys", "list", "--json", *file]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["limits"], row["concurrency"]) for row in rows] == [
        ("alice", "1e15flop/day", 2),
        ("eve", "", None),
    ]
    assert _app.run(["keys", "revoke", "alice", *file]) == 0
    assert _app.run(["keys", "list", *file]) == 0
    assert "revoked" in capsys.readouterr().out
    assert _app.run(["keys", "revoke", "alice", *file]) == 2


# ---------------------------------------------------------------- a server with keys


def test_roles_behind_the_server(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", eve="auditor", olga="operator")
    with serving(tmp_path, thinker(), keys=path) as served:
        told = served.client(keys["alice"]).chat.completions.create(model="ponder", messages=MESSAGES)
        for key in ("none", keys["alice"][:-1] + "!", ""):
            with pytest.raises((openai.AuthenticationError, openai.OpenAIError)):
                served.client(key or " ").models.list()
        with pytest.raises(openai.PermissionDeniedError):
            served.client(keys["eve"]).chat.completions.create(model="ponder", messages=MESSAGES)

        def get(path: str, key: str) -> int:
            headers = {"authorization": f"Bearer {keys[key]}"}
            return httpx2.get(f"{served.address}/v1/{path}", headers=headers).status_code

        for place in ("requests", f"requests/{told.id}", "export", "checkpoint"):
            assert get(f"audit/{place}", "eve") == 200
            assert get(f"audit/{place}", "alice") == 403
            assert get(f"audit/{place}", "olga") == 403
        assert httpx2.get(f"{served.address}/v1/audit/requests").status_code == 401
        assert get("usage", "alice") == 200
        KeyFile(path).revoke("alice")
        assert get("models", "alice") == 401
        path.write_text("nonsense")
        assert get("models", "eve") == 503


def test_without_keys_nobody_reads_traces(tmp_path: Path) -> None:
    with serving(tmp_path, thinker()) as served:
        answer = httpx2.get(f"{served.address}/v1/audit/requests")
        assert answer.status_code == 403
        assert "--keys" in answer.json()["error"]["message"]


def test_what_a_customer_declares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--keys", str(tmp_path / "keys.toml")]
    assert (
        _app.run(["keys", "add", "alice", "--declare", "voice=yes", "--declare", "end_users=5", *file]) == 0
    )
    assert _app.run(["keys", "declare", "alice", "end_users=20000", "autonomy=agent", *file]) == 0
    capsys.readouterr()
    assert _app.run(["keys", "list", "--json", *file]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["declared"] == "voice=yes,end_users=20000,autonomy=agent"
    (key,) = KeyFile(tmp_path / "keys.toml").read()
    assert key.factors == {"voice": "yes", "end_users": 20000.0, "autonomy": "agent"}
    for wrong in ("voice=loud", "shoe=size", "end_users=many"):
        assert _app.run(["keys", "declare", "alice", wrong, *file]) == 2
        assert wrong.partition("=")[0] in capsys.readouterr().err

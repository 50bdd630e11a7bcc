"""A checkpoint's signature holds for its key and for every value in it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import InputError
from ponder.ledger import checkpoint
from ponder.ledger.signing import check_signature, new_key, sign


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key(tmp_path / "operator.pem")
    return tmp_path / "operator.pem"


@pytest.fixture
def public(key: Path) -> Path:
    return key.with_name("operator.pem.pub")


@pytest.fixture
def signed(full: Path, key: Path) -> dict[str, Any]:
    return json.loads(json.dumps(sign(checkpoint(full), key)))


def test_a_signature_is_of_its_key(signed: dict[str, Any], public: Path, tmp_path: Path) -> None:
    assert check_signature(signed, public) == signed["key"]
    other = new_key(tmp_path / "other.pem")
    with pytest.raises(InputError, match="not of the key"):
        check_signature(signed, other)


@pytest.mark.parametrize("name", ["size", "head", "at", "ledger", "signature"])
def test_no_value_can_be_changed(signed: dict[str, Any], public: Path, name: str) -> None:
    before = signed[name]
    for value in (before + 1 if name in ("size", "at") else before[1:] + before[:1], None, "", 7):
        with pytest.raises(InputError, match="checkpoint: "):
            check_signature({**signed, name: value}, public)


def test_the_private_key_is_its_owners_alone(key: Path, public: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert b"PRIVATE" not in public.read_bytes()
    before = key.read_bytes()
    with pytest.raises(InputError, match="cannot be made"):
        new_key(key)
    assert key.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused(signed: dict[str, Any], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no private key"):
        sign(signed, path)
    with pytest.raises(InputError, match="no public key"):
        check_signature(signed, path)
    with pytest.raises(InputError, match="cannot be read"):
        sign(signed, tmp_path / "missing")


def test_keys_are_not_taken_for_each_other(signed: dict[str, Any], key: Path, public: Path) -> None:
    with pytest.raises(InputError, match="no private key"):
        sign(signed, public)
    with pytest.raises(InputError, match="no public key"):
        check_signature(signed, key)


def test_an_unsigned_checkpoint_is_told_to_be_one(full: Path, public: Path) -> None:
    with pytest.raises(InputError, match="not signed"):
        check_signature(checkpoint(full), public)

"""Checkpoints signed with Ed25519 (RFC 8032), so that whoever holds the public key can tell whose they are.

A keyed hash would need no dependency, but who can check one can also make one: an evaluator could then not
show anybody what the operator had stated.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.core import canonical_json
from ponder.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["check_signature", "new_key", "sign"]

_SIGNED = ("size", "head", "at", "ledger")
_CONTEXT = b"ponder ledger checkpoint 1\n"  # a signature of it is one of nothing else


def _message(checkpoint: Mapping[str, Any]) -> bytes:
    return _CONTEXT + canonical_json({name: checkpoint.get(name) for name in _SIGNED}).encode()


def new_key(path: Path) -> Path:
    """Make a key: the private one at `path`, for its owner alone, and the public one, whose path is returned,
    beside it with the ending .pub. Both are PEM. Raises InputError where either cannot be written."""
    ed25519, serialization = _library()
    key, public = ed25519.Ed25519PrivateKey.generate(), path.with_name(path.name + ".pub")
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    shown = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    for place, content, mode in ((path, secret, 0o600), (public, shown, 0o644)):
        try:
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
        except OSError as error:
            raise InputError(f"key: {place} cannot be made ({error.strerror}); give another path.") from None
    return public


def sign(checkpoint: Mapping[str, Any], key: Path) -> dict[str, Any]:
    """The checkpoint with its `signature` and the fingerprint `key` of the public key. Raises InputError for
    a file that holds no private key."""
    private = _private(key)
    signature = private.sign(_message(checkpoint))
    return {
        **checkpoint,
        "signature": base64.b64encode(signature).decode(),
        "key": _fingerprint(private.public_key()),
    }


def check_signature(checkpoint: Mapping[str, Any], public: Path) -> str:
    """The fingerprint of the public key, where the checkpoint is signed with its private one. Raises
    InputError where it is not."""
    from cryptography.exceptions import InvalidSignature

    key, stated = _public(public), checkpoint.get("signature")
    if not isinstance(stated, str):
        raise InputError("checkpoint: it is not signed; export it with --sign, or leave --public out.")
    try:
        key.verify(base64.b64decode(stated, validate=True), _message(checkpoint))
    except (InvalidSignature, binascii.Error, ValueError, TypeError):
        raise InputError(
            f"checkpoint: its signature is not of the key in {public}, or it was changed after it was signed."
        ) from None
    return _fingerprint(key)


def _fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key's 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _private(path: Path) -> Ed25519PrivateKey:
    ed25519, serialization = _library()
    kind: type[Ed25519PrivateKey] = ed25519.Ed25519PrivateKey
    key: object = None
    with contextlib.suppress(ValueError, TypeError):
        key = serialization.load_pem_private_key(_read(path), password=None)
    if not isinstance(key, kind):
        raise InputError(f"sign: {path} holds no private key; make one with `ponder ledger key`.")
    return key


def _public(path: Path) -> Ed25519PublicKey:
    ed25519, serialization = _library()
    kind: type[Ed25519PublicKey] = ed25519.Ed25519PublicKey
    key: object = None
    with contextlib.suppress(ValueError):
        key = serialization.load_pem_public_key(_read(path))
    if not isinstance(key, kind):
        raise InputError(f"public: {path} holds no public key; `ponder ledger key` makes one ending in .pub.")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"key: {path} cannot be read ({error.strerror}); give its path.") from None


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtra("Signing checkpoints", "sign") from None
    return ed25519, serialization

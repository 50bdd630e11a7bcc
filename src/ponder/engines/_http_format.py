"""What a server's refusal of a request that has a response_format means. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ponder.engines._http_errors import Failure
from ponder.errors import FormatRefused

__all__ = ["about_format", "teaches"]

_FIELD = "response_format"
_REFUSED = (400, 422)
_TAUGHT = ("max_completion_tokens", "logprobs", "seed", "stop", '"n"')


def about_format(failure: Failure, error: Exception, sent: Mapping[str, Any]) -> Failure:
    """The failure as one of the format, unless the server names another parameter."""
    if _FIELD not in sent or failure.status not in _REFUSED:
        return failure
    named = getattr(error, "param", None)
    if isinstance(named, str) and named and not named.startswith(_FIELD):
        return failure
    return replace(failure, error=FormatRefused(str(failure.error)))


def teaches(sent: Mapping[str, Any]) -> bool:
    """Whether a refusal's words say something of the parameters: a server may repeat the format that it
    refuses, which is its user's, and where that has their names a refusal that has them proves nothing."""
    said = json.dumps(sent.get(_FIELD)).lower()
    return not any(name in said for name in _TAUGHT)

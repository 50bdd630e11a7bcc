"""The OpenAPI document says what the code does: every route, and every field that is read."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
import jsonschema
import pytest
from starlette.routing import Route

from ponder.config import efforts
from ponder.serve import chat, responses
from ponder.serve.app import application
from ponder.serve.asking import Fields
from ponder.serve.describing import openapi
from ponder.serve.shapes import chat_request, responses_request
from tests.serve.serving import Serving

OF_THE_API = ("/v1/", "/healthz", "/openapi.json", "/metrics")
EFFORTS = list(efforts())


def operations(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(path, method.upper()) for path, each in document["paths"].items() for method in each}


def test_every_route_is_described(served: Serving) -> None:
    guard: Any = application(served.server.house)
    routes = [route for route in guard._app._router.routes if isinstance(route, Route)]
    there = {
        (route.path, method)
        for route in routes
        if route.path.startswith(OF_THE_API)
        for method in (route.methods or ()) - {"HEAD"}
    }
    assert there == operations(openapi(EFFORTS, keys=True))


def test_it_is_served_without_a_key_and_is_sound(served: Serving) -> None:
    document = httpx2.get(f"{served.address}/openapi.json").json()
    assert document == openapi(served.server.house.planner.efforts, keys=False)
    for shape in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(shape)
    named = set(re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')))
    assert named == set(document["components"]["schemas"])


# ---------------------------------------------------------------- fields


def options(shape: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(shape.get("anyOf", [shape]))


def paths(shape: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """The names of all fields in a shape but those of a content's parts."""
    for option in options(shape):
        if option.get("type") == "array" and not name.endswith("content"):
            yield from paths(option["items"], f"{name}[]") if "items" in option else ()
        for field, inner in option.get("properties", {}).items():
            here = f"{name}.{field}" if name else field
            yield here
            yield from paths(inner, here)


def fullest(shape: Mapping[str, Any]) -> Any:
    """A value that fits, with every object that can be in it."""
    best = max(options(shape), key=lambda o: 2 * ("properties" in o) + ("minItems" in o))
    if "properties" in best:
        return {field: fullest(inner) for field, inner in best["properties"].items()}
    if "enum" in best or "const" in best:
        return best["enum"][0] if "enum" in best else best["const"]
    whole = best.get("minimum", 1)
    values = {"array": [], "string": "x", "boolean": True, "object": {}, "integer": whole, "number": 1}
    return [fullest(best["items"])] if best["type"] == "array" and "items" in best else values[best["type"]]


@pytest.mark.parametrize(
    ("read", "shape"),
    [(chat.read, chat_request(EFFORTS)), (responses.read, responses_request(EFFORTS))],
    ids=["chat", "responses"],
)
def test_the_fields_that_are_read_are_those_described(
    read: Callable[[Mapping[str, Any]], Any], shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = set()
    take, only = Fields.take, Fields.only

    def note(fields: Fields, name: str) -> None:
        taken.add(re.sub(r"\[\d+\]", "[]", fields.path(name)))

    def taking(self: Fields, name: str) -> Any:
        note(self, name)
        return take(self, name)

    def only_taking(self: Fields, name: str, *allowed: Any) -> None:
        note(self, name)
        only(self, name, *allowed)

    monkeypatch.setattr(Fields, "take", taking)
    monkeypatch.setattr(Fields, "only", only_taking)
    body = fullest(shape)
    conversation = "messages" if "messages" in body else "input"
    body[conversation][-1] |= {"role": "user", "content": "What is 9 + 4?"}
    jsonschema.Draft202012Validator(shape).validate(body)
    read(body)
    # A part of a conversation that is a thought has a type and nothing else that counts.
    described = set(paths(shape))
    assert taken == described

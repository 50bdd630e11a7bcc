import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.serve import chat, responses
from ponder.serve.failing import ApiError
from ponder.serve.formatting import MOST_SCHEMA_CHARACTERS, Format, flaw, redact_json
from ponder.serve.hiding import REDACTED, redact
from ponder.serve.strict import parse

SECRET = "first the boxes are counted, then the eggs in each of them are added"


def chat_format(stated: Any) -> Format | None:
    messages = [{"role": "user", "content": "Hi"}]
    return chat.read({"model": "ponder", "messages": messages, "response_format": stated}).format


def responses_format(stated: Any) -> Format | None:
    return responses.read({"model": "ponder", "input": "Hi", "text": {"format": stated}}).format


# ---------------------------------------------------------------- what may be asked for


def test_both_apis_mean_the_same() -> None:
    rest = {"name": "sum", "schema": {"b": 1, "a": {"type": "number", "maximum": 1.5}}}
    form = chat_format({"type": "json_schema", "json_schema": rest | {"description": None, "strict": True}})
    flat = responses_format({"type": "json_schema", "strict": True, **rest})
    assert form is not None
    assert flat is not None
    assert form.text == flat.text
    assert json.loads(form.text) == {"type": "json_schema", "json_schema": {**rest, "strict": True}}
    assert list(json.loads(form.text)["json_schema"]["schema"]) == ["b", "a"]  # a model writes in this order
    assert (form.param, flat.param) == ("response_format", "text.format")
    assert chat_format({"type": "text"}) is chat_format(None) is responses_format({"type": "text"}) is None


@pytest.mark.parametrize(
    ("stated", "param"),
    [
        ("json_object", ""),
        ([], ""),
        ({}, ".type"),
        ({"type": "yaml"}, ".type"),
        ({"type": ["json_object"]}, ".type"),
        ({"type": "json_object", "frobnicate": 1}, ".frobnicate"),
        ({"type": "text", "json_schema": {}}, ".json_schema"),
        ({"type": "json_schema"}, ".json_schema"),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, ".json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": "a\n", "schema": {}}}, ".json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": "a" * 65, "schema": {}}}, ".json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, ".json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": True}}, ".json_schema.schema"),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": "no"}},
            ".json_schema.strict",
        ),
    ],
)
def test_what_cannot_be_is_named(stated: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        chat_format(stated)
    assert (refused.value.status, refused.value.param) == (400, f"response_format{param}")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://evil.example/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "//evil.example/x"},
        {"$ref": "other.json#/a"},
        {"properties": {"a": {"items": [{"anyOf": [{"$ref": "https://evil.example"}]}]}}},
        {"$dynamicRef": "https://evil.example"},
        {"$recursiveRef": "https://evil.example"},
        {"enum": ["x" * MOST_SCHEMA_CHARACTERS]},
        {"properties": {f"p{i}": {} for i in range(5001)}},
    ],
)
def test_a_schema_that_reaches_out_or_is_too_large(schema: Any) -> None:
    assert flaw(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}},
        {"$ref": "#"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
        {"properties": {"$ref": {"type": "string"}}},
    ],
)
def test_a_schema_of_its_own_is_fit(schema: Any) -> None:
    assert flaw(schema) is None


# ---------------------------------------------------------------- redaction


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


def planted(value: Any, secret: str) -> Any:
    """With a secret in every string."""
    if isinstance(value, str):
        return f"{value} {secret} {value}"
    if isinstance(value, list):
        return [planted(each, secret) for each in value]
    if isinstance(value, dict):
        return {name: planted(each, secret) for name, each in value.items()}
    return value


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_it_stays_json_and_what_is_harmless_stays_as_it_was(value: Any, indent: Any, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert redact_json(text, [SECRET], []).text == text
    hurt = json.dumps(planted(value, SECRET), indent=indent, ensure_ascii=ascii)
    shown = redact_json(hurt, [SECRET], [])
    parse(shown.text)
    assert SECRET not in shown.text
    assert (shown.cuts > 0) == (hurt != text)
    parse(redact_json(hurt, [hurt], []).text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=120))
def test_one_string_is_cut_as_a_text_is(said: str) -> None:
    text = f"{said} {SECRET} {said}"
    shown = redact_json(json.dumps({"a": text}), [SECRET], [])
    whole = redact(text, [SECRET], [])
    assert (json.loads(shown.text)["a"], shown.cuts) == (whole.text, whole.cuts)


def test_names_numbers_and_codes() -> None:
    code = "MK7f3a91c04d2eQ"
    digits = "3141592653589793238462643383279502884197169399"
    text = json.dumps({code: code, "n": int(digits), "m": 12})
    shown = redact_json(text, [f"The mark is {code}, and pi {digits}."], [])
    assert json.loads(shown.text) == {REDACTED: REDACTED, "n": REDACTED, "m": 12}
    assert redact_json(text, [code], [], frozenset([code])).text == text  # its asker's own
    draft = json.dumps({"answer": "eighteen eggs", "boxes": "three of them", "each": "six of the eggs"})
    assert redact_json(draft, [f"I should write {draft}."], []).text == draft  # the form is no passage


def test_a_backslash_before_a_quote_ends_no_string() -> None:
    value = {"a": 'say "\\', "b\\": SECRET, 'c"': ["\\\\", SECRET + '"']}
    shown = redact_json(json.dumps(value), [SECRET], [])
    assert json.loads(shown.text) == {"a": 'say "\\', "b\\": REDACTED, 'c"': ["\\\\", REDACTED + '"']}

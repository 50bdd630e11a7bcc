"""Read a choice from a text: the answer in the one form in which equal answers are equal strings.

Each rule is a pure function `text -> str | None`; None means that no answer was found (no choice, no
vote). The text is untrusted: its length is capped, every pattern is linear in it, and no long
run of digits is turned into an `int`. A rule is for a model's text, not for another rule's result: what
stood in a box is read without one.

Rules: "number", "line", "block" (several lines), "boxed", "choice" (a letter), "expression", "steps" (a chain
of operations), "search" (what a search has left of one), "math" (LaTeX and all), "code" (a program) and
"answer" (the general one).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from ponder.core import Question
from ponder.errors import UnknownName
from ponder.tasks import options

__all__ = ["RULES", "canonical_number", "choice", "operations", "remaining", "sole_number", "tidy"]

# An answer stands at the end, so the tail of a long text is what is read.
TEXT_CHARACTERS = 20_000
NUMBER_CHARACTERS = 400
LINE_CHARACTERS = 500
BLOCK_CHARACTERS = 4000
_SHORT_LINE_CHARACTERS = 80
SEGMENT_CHARACTERS = 200
_EXPRESSION_CHARACTERS = 200

_MINUS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/"})
# A sign belongs to the number unless it follows an operand directly ("10-7"). Possessive, so that a
# long run of digits is read once.
_NUMBER = re.compile(
    r"(?:(?<![\w)\]}.])[-+])?(?<![\w.])"
    r"(?:[0-9]{1,3}+(?:,[0-9]{3}(?![0-9]))++|[0-9]++)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]{1,2}(?![0-9]))?+(?![eE][-+]?[0-9])"
)
_FRACTION = re.compile(r"([-+]?[0-9]{1,50}) ?/ ?([0-9]{1,50})(?![0-9.])")
_LATEX_FRACTION = re.compile(r"(-?)\\[dt]?frac\{ ?(-?[0-9]{1,50}) ?\}\{ ?([0-9]{1,50}) ?\}")
_STATEMENT = re.compile(r"\banswer[*_ ]{0,4}(?:is\b|[:=])[*_: ]{0,8}\n{0,2}", re.IGNORECASE)
_BOXED = "\\boxed{"
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
# The letters that are options where the question lists none.
_USUAL_LETTERS = "ABCDE"
_OPTION = re.compile(r"[*_]{0,4}[(\[]?[*_]{0,4}([A-Ea-e])[*_]{0,4}(?:[)\].:](?: .*)?)?")
_LEADING_NUMBER = re.compile(r"[\s*_$({\[\\]{0,6}[-+]?[0-9]")
# It goes on as a date, a time, a list or a sum: 2024-01-05, 5/1/2024, 3 June 1990, 10:30, "2, 3, 5", 1 + 2.
_COMPOUND = re.compile(
    r"[\s*_$({\[\\]{0,6}[-+]?[0-9][0-9.]{0,30}+(?:,[0-9]{3}(?![0-9]))*+"
    r"(?: ?[-:,+*] ?[0-9]| [^\W\d]{3,9},? [0-9]|/[0-9]{1,4}/[0-9])"
)
_EXPRESSION = re.compile(r"[-+(]*[0-9][0-9+\-*/(). ]*+")
# Neither a sign nor a fraction leaves doubt where an operand ends: a fraction has no blanks, -3 and 1/2.
_OPERAND = r"-?[0-9]{1,12}(?:/0{0,11}[1-9][0-9]{0,11})?"
_OPERATION = re.compile(rf" *({_OPERAND}) *([-+*/]) *({_OPERAND}) *= *({_OPERAND}) *\.? *")
_STEPS = 100
_BACK = "<"
_MARKUP = "*_`\"'$ \t\r"
# $x$, \(x\) or \[x\], and how a sentence is told from mathematics: by two words in a row.
_MATHEMATICS = re.compile(r"\$([^$\n]{1,500}+)\$|\\[(\[]([^\n]{1,500}?)\\[)\]]")
_WORDS = re.compile(r"(?<![\\\w])[^\W\d_]{2,20}+ +[^\W\d_]{2,20}+(?!\w)")
_FENCE = "```"
# A line that a program has and a sentence has not.
_DEFINITION = re.compile(r"^[ \t]*+(?:(?:async )?def|class) \w", re.MULTILINE)
_STATEMENT_OF_CODE = re.compile(
    r"^[ \t]*+(?:(?:async )?def \w|class \w|import \w|from [\w.]++ import|print\(|@\w"
    r"|[^\W\d]\w*+(?:\[[^\]\n]{0,40}\])? ?[-+*/]?=[^=])",
    re.MULTILINE,
)


def canonical_number(text: str) -> str | None:
    """The one spelling of a number: 7.0, +7, 07 and 7 give "7"; "1,000" gives "1000"; "2/4" stays "2/4".

    None when `text` as a whole is not a number of at most 400 characters.
    """
    plain = text.strip().translate(_MINUS)
    if len(plain) > NUMBER_CHARACTERS:
        return None
    fraction = _FRACTION.fullmatch(plain)
    if fraction:
        above, below = (_decimal(part) for part in fraction.groups())
        return None if above is None or below in (None, "0") else f"{above}/{below}"
    return _decimal(plain) if _NUMBER.fullmatch(plain) else None


def _decimal(text: str) -> str | None:
    try:
        spelled = format(Decimal(text.replace(",", "")), "f")
    except InvalidOperation:
        return None
    sign, digits = ("-", spelled[1:]) if spelled.startswith("-") else ("", spelled)
    whole, _, decimals = digits.partition(".")
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    result = f"{whole}.{decimals}" if decimals else whole
    return result if result == "0" else sign + result


def _tail(text: str) -> str:
    if len(text) <= TEXT_CHARACTERS:
        return text
    # The cut may fall inside a number: read on from the next white space.
    parts = text[-TEXT_CHARACTERS:].split(maxsplit=1)
    return parts[1] if len(parts) == 2 else ""


def _numbers(text: str) -> Iterator[str]:
    for match in _NUMBER.finditer(text):
        found = canonical_number(match.group())
        if found is not None:
            yield found


def _last_number(text: str) -> str | None:
    last = None
    for last in _numbers(text):  # noqa: B007 the last one is wanted
        pass
    return last


def _statements(text: str) -> Iterator[str]:
    """What follows each "answer is" or "answer:", the last one first, to the end of its line."""
    for match in reversed(list(_STATEMENT.finditer(text))):
        yield text[match.end() : match.end() + SEGMENT_CHARACTERS].partition("\n")[0]


def _last_box(text: str) -> str | None:
    start = text.rfind(_BOXED)
    if start < 0:
        return None
    depth = 1
    inside = text[start + len(_BOXED) : start + len(_BOXED) + LINE_CHARACTERS]
    for at, character in enumerate(inside):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return inside[:at]
    return None


def _stated_number(segment: str) -> str | None:
    """The number that a segment states: the first after its last "=", a fraction as a whole."""
    segment = _LATEX_FRACTION.sub(r"\1\2/\3", segment.translate(_MINUS)).replace("\\", " ")
    value = segment.rpartition("=")[2]
    fraction = _FRACTION.match(value.strip(_MARKUP + "([{"))
    if fraction:
        return canonical_number(fraction.group())
    return next(_numbers(value), None)


def sole_number(text: str) -> str | None:
    """The one number of a short text, in its one spelling; None when it has none or several."""
    whole = canonical_number(text)
    if whole is not None or len(text) > LINE_CHARACTERS:
        return whole
    value = text.translate(_MINUS).rpartition("=")[2]
    found = list(_numbers(value))
    return found[0] if len(found) == 1 else None


def tidy(text: str) -> str | None:
    """One line without needless blanks, quotes, emphasis and final full stop; None if nothing is left."""
    line = " ".join(text[:LINE_CHARACTERS].split())
    # To a fixed point: '"x".' and "x.'" both end as x.
    while (shorter := line.strip(_MARKUP).rstrip(".")) != line:
        line = shorter
    return line or None


def _first_sentence(segment: str) -> str:
    end = _SENTENCE_END.search(segment)
    return segment[: end.start()] if end else segment


def number(text: str) -> str | None:
    """The number in a box, or stated as the answer, or else the last number of the text."""
    text = _tail(text).translate(_MINUS)
    box = _last_box(text)
    for segment in ([] if box is None else [box]) + list(_statements(text)):
        found = _stated_number(segment)
        if found is not None:
            return found
    whole = canonical_number(text)
    return whole if whole is not None else _last_number(text)


def line(text: str) -> str | None:
    """The text in a box, or stated as the answer, or else the last line that is not blank."""
    text = _tail(text)
    box = _last_box(text)
    if box is not None:
        return tidy(box)
    for segment in _statements(text):
        found = tidy(_first_sentence(segment))
        if found is not None:
            return found
    for last in reversed(text.splitlines()):
        found = tidy(last)
        if found is not None:
            return found
    return None


def block(text: str) -> str | None:
    """All lines that follow the last "answer:", or else the last paragraph: for grids and lists. Line
    breaks are kept."""
    text = _tail(text)
    box = _last_box(text)
    if box is not None:
        return tidy(box)
    starts = list(_STATEMENT.finditer(text))
    stated = text[starts[-1].end() :] if starts else ""
    body = stated if stated.strip() else re.split(r"\n[ \t\r]*\n", text.strip())[-1]
    lines = [line.rstrip() for line in body.strip("\n").splitlines()]
    while lines and not lines[-1].strip(_MARKUP):
        lines.pop()
    if len(lines) <= 1:
        return tidy(lines[0]) if lines else None
    return "\n".join(lines)[:BLOCK_CHARACTERS]


def boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{}`, a number in its one spelling."""
    text = _tail(text)
    box = _last_box(text)
    if box is None:
        return None
    plain = _LATEX_FRACTION.sub(r"\1\2/\3", box)
    found = canonical_number(plain.strip(_MARKUP))
    return found if found is not None else tidy(box)


@lru_cache
def _letter_patterns(last: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """How a letter from A to `last` begins a statement, and how one stands alone. Before a word, "I" is a
    pronoun and "a" an article."""
    begins = rf"[*_ $({{\[]{{0,6}}(?!(?:[Ii][ ,]|a ) *\w)([A-{last}a-{last.lower()}])(?![\w'])"
    alone = rf"\(([A-{last}])\)|^[*_ ]{{0,4}}([A-{last}])(?=[).:*_]|[ ]*$)"
    return re.compile(begins), re.compile(alone, re.MULTILINE)


def letter(text: str, letters: str = _USUAL_LETTERS) -> str | None:
    """One of the letters, which go from A on: in a box, stated as the answer, or else the last that stands
    alone."""
    begins, alone = _letter_patterns(letters[-1])
    text = _tail(text)
    box = _last_box(text)
    for segment in ([] if box is None else [box]) + list(_statements(text)):
        found = begins.match(segment)
        if found:
            return found.group(1).upper()
    last = None
    for match in alone.finditer(text):
        last = match.group(1) or match.group(2)
    return last


def expression(text: str) -> str | None:
    """An arithmetic expression without blanks: in a box, stated as the answer, or in the last line that
    has one. What follows an "=" is left out."""
    text = _tail(text).translate(_MINUS)
    box = _last_box(text)
    segments = ([] if box is None else [box]) + list(_statements(text)) + text.splitlines()[::-1]
    for segment in segments:
        found = _EXPRESSION.search(segment.partition("=")[0][:LINE_CHARACTERS])
        if found:
            plain = found.group().replace(" ", "").rstrip("+-*/.(")
            if 0 < len(plain) <= _EXPRESSION_CHARACTERS:
                return plain
    return None


def operations(text: str) -> list[tuple[str, str, str, str]]:
    """(first, operator, second, result) of each step "3 * 4 = 12", one a line or between semicolons.

    Empty when anything else stands there, or more than 100 steps.
    """
    found: list[tuple[str, str, str, str]] = []
    for part in re.split(r"[;\n]", text[: TEXT_CHARACTERS + 1].translate(_MINUS)):
        if part.strip():
            match = _OPERATION.fullmatch(part.strip())
            if match is None or len(found) == _STEPS or len(text) > TEXT_CHARACTERS:
                return []
            found.append((match[1], match[2], match[3], match[4]))
    return found


def steps(text: str) -> str | None:
    """A chain of operations in one spelling, "3 * 4 = 12; 12 + 5 = 17": the smaller operand of a sum or a
    product stands first. None when the text is anything but a chain."""
    chain = []
    for first, operator, second, result in operations(text):
        a, b = _plain(first), _plain(second)
        if operator in "+*" and Fraction(b) < Fraction(a):
            a, b = b, a
        chain.append(f"{a} {operator} {b} = {_plain(result)}")
    return "; ".join(chain) or None


def remaining(text: str) -> str | None:
    """The chain that a search has left: "<" in place of a step takes the last one back. In the spelling of
    `steps`; empty where all is taken back.

    A last line that is not finished is left out, as a search may be cut short anywhere. None when anything
    else stands there, or there is nothing to take back.
    """
    kept: list[str] = []
    parts = [part.strip() for part in re.split(r"[;\n]", text[: TEXT_CHARACTERS + 1].translate(_MINUS))]
    for at, part in enumerate(parts):
        if part == _BACK and kept:
            kept.pop()
        elif _OPERATION.fullmatch(part):
            kept.append(part)
        elif part == _BACK or (part and at < len(parts) - 1) or len(text) > TEXT_CHARACTERS:
            return None
    return steps("\n".join(kept)) if kept else ""


def search(text: str) -> str | None:
    """What a search has left in the end, as `steps` spells it. None when that is no step."""
    return remaining(text) or None


def _plain(operand: str) -> str:
    return str(Fraction(operand))


def mathematics(text: str) -> str | None:
    r"""What stands in the last `\boxed{}`, or is stated as the answer, or in the last pair of dollars; else
    the last line, or of a sentence its last number. LaTeX is kept; a number is in its one spelling."""
    text = _tail(text)
    box = _last_box(text)
    for segment in ([] if box is None else [box]) + list(_statements(text)):
        found = _mathematical(segment)
        if found is not None:
            return found
    marked = list(_MATHEMATICS.finditer(text))
    if marked:
        return _mathematical(marked[-1].group())
    last = line(text)
    return None if last is None else _mathematical(last)


def _mathematical(segment: str) -> str | None:
    marked = list(_MATHEMATICS.finditer(segment))
    inside = marked[-1].group(1) or marked[-1].group(2) if marked else segment
    if _WORDS.search(inside):
        sentence = _first_sentence(inside).translate(_MINUS)
        return _last_number(sentence) or tidy(sentence)
    plain = _LATEX_FRACTION.sub(r"\1\2/\3", inside)
    found = canonical_number(plain.strip(_MARKUP))
    return found if found is not None else tidy(inside)


def code(text: str) -> str | None:
    """The last block between ``` fences that defines something, or else that looks like a program; of a text
    without fences all of it, if it looks like one. An unclosed fence goes on to the end."""
    text = _tail(text)
    blocks = text.split(_FENCE)[1::2] if _FENCE in text else ["\n" + text]
    for mark in (_DEFINITION, _STATEMENT_OF_CODE):
        for found in reversed(blocks):
            # What follows the fence on its line is the language.
            language, _, program = found.partition("\n")
            body = textwrap.dedent(found if " " in language.strip() else program).strip()
            if mark.search(body):
                return body
    return None


def answer(text: str) -> str | None:
    """The general rule: a box, a stated answer, else the last number, else a short last line.

    A statement that starts with a number gives the number ("15 apples"), unless that is part of something
    longer (a date, a time, a list); one that starts with an option's letter gives the letter ("(B) Paris");
    any other gives its words.
    """
    text = _tail(text)
    if _BOXED in text:
        return boxed(text)
    for segment in _statements(text):
        found = _stated(segment)
        if found is not None:
            return found
    plain = text.translate(_MINUS)
    found = canonical_number(plain)
    found = found if found is not None else _last_number(plain)
    if found is not None:
        return found
    last = line(text)
    return last if last is not None and len(last) <= _SHORT_LINE_CHARACTERS else None


def _stated(segment: str) -> str | None:
    value = _LATEX_FRACTION.sub(r"\1\2/\3", segment.translate(_MINUS)).rpartition("=")[2]
    if _LEADING_NUMBER.match(value) and not _COMPOUND.match(value):
        found = _stated_number(segment)
        if found is not None:
            return found
    words = tidy(_first_sentence(segment))
    option = None if words is None else _OPTION.fullmatch(words)
    return words if option is None else option.group(1).upper()


RULES: dict[str, Callable[[str], str | None]] = {
    "number": number,
    "line": line,
    "block": block,
    "boxed": boxed,
    "choice": letter,
    "expression": expression,
    "steps": steps,
    "search": search,
    "math": mathematics,
    "code": code,
    "answer": answer,
}


def choice(question: Question, text: str) -> str | None:
    """Read the choice from a sample's text by the question's rule, ignoring what follows a stop string.

    Where a letter is wanted, only the options that the question lists have one (A to E where it lists none);
    where there is no letter, the text of an option gives it. Raises UnknownName for a rule that does not
    exist.
    """
    rule = RULES.get(question.extract)
    if rule is None:
        raise UnknownName("extraction rule", question.extract, RULES)
    for stop in question.stop:
        if stop:
            text = text.partition(stop)[0]
    if rule is not letter:
        return rule(text)
    known = options.listed(question)
    return letter(text, "".join(known) or _USUAL_LETTERS) or options.chosen(known, line(text) or "")

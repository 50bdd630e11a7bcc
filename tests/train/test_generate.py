"""Replies drawn in shards: what is kept, what each part took, and what a kill costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from ponder.core import Shape  # noqa: E402
from ponder.errors import CheckpointInvalid, InputError, RunChanged  # noqa: E402
from ponder.ledger import Ledger, StageRow  # noqa: E402
from ponder.tasks.chars import END  # noqa: E402
from ponder.train import generate  # noqa: E402
from ponder.train.generate import Attempt, Choice, Drawn, How, Reply, draw_replies  # noqa: E402
from ponder.train.pieces import Piece, Pieces, pieces_in  # noqa: E402
from ponder.train.sides import sides  # noqa: E402
from ponder.train.state import Work  # noqa: E402
from tests.train.teachers import TASK, damaged  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

HOW = How(4, 1.0, 0, 1, "cpu")
SIDES = sides(TASK, learned=12, held_out=5, seed=0)


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is right now and then."""
    return damaged(tmp_path_factory.mktemp("models") / "weak", 0.2)


@contextmanager
def opened(place: Path, **config: object) -> Iterator[Pieces]:
    with (
        Ledger.open(place / "ledger.db", write=True) as ledger,
        pieces_in(place / "out", {"kind": "train", **config}, ledger, "r") as pieces,
    ):
        yield pieces


def rows_of(place: Path) -> list[StageRow]:
    with Ledger.open(place / "ledger.db", write=False) as ledger:
        return list(ledger.stages("r"))


def draw(pieces: Pieces, weak: Path) -> Drawn:
    choice = Choice("verifier")
    return draw_replies(pieces, "replies", weak, SIDES.learned, HOW, grader=SIDES.grader, choice=choice)


@pytest.fixture(scope="module")
def drawn(weak: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Drawn, Path]:
    """Replies in shards of four problems, and where they are."""
    place = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch, opened(place) as pieces:
        patch.setattr(generate, "_SHARD_SAMPLES", 16)
        return draw(pieces, weak), place


def test_every_problem_has_its_replies_and_what_is_kept_is_right(drawn: tuple[Drawn, Path]) -> None:
    found, place = drawn
    assert [a.prompt for a in found.attempts] == [p.question.prompt.text for p in SIDES.learned]
    assert all(len(a.replies) == 4 for a in found.attempts)
    assert {path.name for path in (place / "out").glob("*.xz")} == {
        f"replies-00{n}.jsonl.xz" for n in range(3)
    }
    keys = {p.question.prompt.text: p.key for p in SIDES.learned}
    texts = found.texts()
    assert 0 < len(texts) <= found.kept < 48
    assert len({(text.prompt, text.reply) for text in texts}) == len(texts)
    for text in texts:
        assert text.reply.endswith("=" + keys[text.prompt] + END)


def test_flop_are_shared_among_what_is_kept_and_what_is_discarded(drawn: tuple[Drawn, Path]) -> None:
    found, place = drawn
    kept, discarded = found.flop()
    assert kept + discarded == pytest.approx(found.work.flop)
    assert min(kept, discarded) > 0
    # A prompt that is read for one reply alone is not shared among four.
    assert found.work.flop / 4 < sum(found.flop(1)) < found.work.flop
    rows = rows_of(place)
    assert {(row.stage, row.part) for row in rows} == {
        ("synthetic_data", "kept"),
        ("synthetic_data", "discarded"),
    }
    for part, flop, samples in (("kept", kept, found.kept), ("discarded", discarded, 48 - found.kept)):
        some = [row for row in rows if row.part == part]
        assert sum(row.flop or 0 for row in some) == pytest.approx(flop, rel=0.01)
        assert sum(row.samples or 0 for row in some) == samples
    assert sum(row.tokens or 0 for row in rows) == found.work.tokens


def test_a_killed_shard_is_drawn_again_and_what_it_had_done_is_booked(
    drawn: tuple[Drawn, Path], weak: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "_SHARD_SAMPLES", 16)
    monkeypatch.setattr(generate, "_TELL_SECONDS", 0.0)
    left, attempt = [6], generate._attempt

    def dying(*arguments: object) -> Attempt:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return attempt(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(generate, "_attempt", dying)
    with pytest.raises(KeyboardInterrupt), opened(tmp_path) as pieces:
        draw(pieces, weak)
    first = (tmp_path / "out" / "replies-000.jsonl.xz").stat().st_mtime_ns
    monkeypatch.setattr(generate, "_attempt", attempt)
    with opened(tmp_path) as pieces:
        again = draw(pieces, weak)
    assert again.attempts == drawn[0].attempts
    assert (tmp_path / "out" / "replies-000.jsonl.xz").stat().st_mtime_ns == first
    rows = rows_of(tmp_path)
    (repeated,) = [row for row in rows if row.part == "repeated"]
    # Two problems of the second shard were done, and the third one's replies were drawn.
    assert (repeated.samples, repeated.position) == (12, rows[-1].position - 2)
    assert repeated.flop
    assert repeated.flop > 0


def test_a_shard_that_cannot_be_read_is_named(drawn: tuple[Drawn, Path], weak: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as pieces:
        draw(pieces, weak)
        (tmp_path / "out" / "replies-000.jsonl.xz").write_bytes(b"no such thing")
        with pytest.raises(CheckpointInvalid, match=r"replies-000\.jsonl\.xz cannot be read"):
            draw(pieces, weak)


def test_a_campaign_is_bound_to_its_configuration_and_held_by_one(tmp_path: Path) -> None:
    config = {"kind": "train", "seed": 1}
    with opened(tmp_path, seed=1) as pieces, Ledger.open(tmp_path / "other.db", write=True) as other:
        second = pieces_in(pieces.folder, config, other, "r")
        with pytest.raises(InputError, match="another process is working"):
            second.__enter__()
    second = opened(tmp_path, seed=2)
    with pytest.raises(RunChanged, match=r"seed: the work in .* was begun with another seed"):
        second.__enter__()


def test_a_piece_is_booked_where_the_ledger_lacks_it(tmp_path: Path) -> None:
    row = {"stage": "sft", "model": "m", "seconds": 1.0, "device": "cpu", "started": 1.0, "flop": 5.0}
    for ledger in ("ledger.db", "other.db"):
        with Ledger.open(tmp_path / ledger, write=True) as store:
            with pieces_in(tmp_path / "out", {"kind": "train"}, store, "r") as pieces:
                done = pieces.do("one", lambda stem: Piece({"n": 1}, [row]))
                assert done == {"n": 1}
                assert pieces.do("one", lambda stem: pytest.fail("it is done")) == {"n": 1}
            assert [(r.position, r.flop) for r in store.stages("r")] == [(0, 5.0)]


# ---------------------------------------------------------------- what is kept


def reply(choice: str | None, right: bool | None, *, whole: bool = True) -> Reply:
    return Reply(f"1+1={choice}", choice, right, whole, 6)


REPLIES = (
    reply("3", False),
    reply("2", True),
    reply("3", False),
    reply("2", True, whole=False),
    reply(None, False),
)
ATTEMPT = Attempt("1+1:", "1+1", REPLIES)


@pytest.mark.parametrize(
    ("choice", "marks"),
    [
        (Choice("verifier"), [False, True, False, False, False]),
        (Choice("majority"), [True, False, True, False, False]),  # of equally common answers the first
        (Choice("own"), [True, True, True, False, False]),
        (Choice("verifier", (0.1, 0.7)), [False, True, False, False, False]),
        (Choice("verifier", (0.3, 0.7)), [False] * 5),
        (Choice("own", (0.1, 0.5)), [False] * 5),
    ],
)
def test_which_replies_are_kept(choice: Choice, marks: list[bool]) -> None:
    assert choice.marks(ATTEMPT) == marks


def test_nothing_is_kept_where_no_reply_has_an_answer() -> None:
    mute = Attempt("1+1:", "1+1", (reply(None, False),) * 3)
    assert all(Choice(labels).marks(mute) == [False] * 3 for labels in ("verifier", "majority", "own"))


def test_counts_of_what_is_kept() -> None:
    shape = Shape(layers=1, d_model=8, heads=1, kv_heads=1, d_head=8, d_ff=8, vocab=8)
    found = Drawn((ATTEMPT,), Choice("own"), shape, Work(examples=5, flop=100.0))
    assert (found.kept, found.kept_right, len(found.chosen), len(found.texts())) == (3, 1, 1, 2)
    assert [text.reply for text in found.texts(1)] == ["1+1=3."]


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"samples": 0}, "samples"), ({"temperature": 0.0}, "temperature"), ({"processes": 0}, "processes")],
)
def test_how_to_draw_is_checked(changes: dict[str, float], named: str) -> None:
    values = {"samples": 1, "temperature": 1.0, "seed": 0, "processes": 1, "device": "cpu"}
    with pytest.raises(InputError, match=named):
        How(**{**values, **changes})  # type: ignore[arg-type]

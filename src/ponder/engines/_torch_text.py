"""Token ids and texts: encoding prompts, decoding samples, and finding stop strings while they grow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.core import Prompt
from ponder.engines._common import line_of, require_whole
from ponder.errors import CheckpointInvalid, MissingExtra, ModelUnsupported

__all__ = ["Text", "numbers_in"]

_WINDOW_TOKENS_A_CHARACTER = 4


class Text:
    """A folder's tokenizer. Raises CheckpointInvalid if it cannot be read or has ids that the model lacks."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self._name = path.name
        self._tokenizer = _tokenizer(path)
        self._tokenizer.clean_up_tokenization_spaces = False
        self._special = sorted((str(t) for t in self._tokenizer.all_special_tokens), key=len, reverse=True)
        self.end_tokens = _end_tokens(path, config, self._tokenizer.eos_token_id)
        self.size = _vocabulary(path, config, self._tokenizer.get_vocab(), self.end_tokens)
        self._pieces = self._joined_pieces()

    def render(self, prompt: Prompt, prefix: str = "") -> str:
        """The text the model continues: the prompt's raw text, or its messages in the chat template.

        A control token in a message's content is broken up: a question must not end its own turn. Raises
        CallFailed for half a surrogate pair, ModelUnsupported for messages without a chat template.
        """
        require_whole(prompt, prefix)
        if prompt.text is not None:
            return prompt.text + prefix
        turns = [{"role": m.role, "content": self._broken(m.content)} for m in prompt.messages]
        try:
            text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except Exception as error:  # templates are programs of the folder's own and may raise anything
            raise ModelUnsupported(
                f"{self._name} has no usable chat template ({line_of(error)[:80]}): "
                "use a task with a raw prompt."
            ) from None
        return str(text) + prefix

    def encode(self, prompt: Prompt, prefix: str = "") -> tuple[int, ...]:
        """Token ids of the rendered prompt. Raw text begins as the tokenizer begins texts (with BOS, or
        not); a chat template writes its own beginning."""
        text = self.render(prompt, prefix)
        encoded = self._tokenizer(text, add_special_tokens=prompt.text is not None, verbose=False)
        ids = list(encoded["input_ids"])
        if prompt.text is not None and ids and ids[-1] in self.end_tokens:
            ids.pop()
        return tuple(int(token) for token in ids)

    def decode(self, ids: Sequence[int], before: int | None = None) -> str:
        """The text of generated ids, control tokens left out. `before` is the token they follow: some
        tokenizers drop the space at a text's beginning."""
        if self._pieces is not None:
            return "".join([self._pieces[token] for token in ids])
        if before is None:
            return self._plain(list(ids))
        start, whole = self._plain([before]), self._plain([before, *ids])
        return whole[len(start) :] if whole.startswith(start) else self._plain(list(ids))

    def stop_tokens(self, stops: Sequence[str]) -> list[bool]:
        """For each token id, whether it may complete one of the stop strings."""
        last = {stop[-1] for stop in stops if stop}
        if not last:
            return [False] * self.size
        texts = self._pieces or self._tokenizer.batch_decode([[t] for t in range(self.size)])
        # Bytes of a character decode to U+FFFD alone; a space may be dropped when it comes first.
        doubtful = any(char.isspace() or ord(char) > 127 for char in last)
        if self._pieces is None and doubtful:
            return [
                not text or not text.isascii() or text[:1].isspace() or not last.isdisjoint(text)
                for text in texts
            ]
        return [not last.isdisjoint(text) for text in texts]

    def stopped(self, ids: Sequence[int], before: int | None, stops: Sequence[str]) -> bool:
        """Whether a stop string stands in the text. The end is looked at first, which is short."""
        window = max(len(stop) for stop in stops) * _WINDOW_TOKENS_A_CHARACTER + 8
        if len(ids) > window and not _any(stops, self.decode(ids[-window:], ids[-window - 1])):
            return False
        return _any(stops, self.decode(ids, before))

    def _plain(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _broken(self, content: str) -> str:
        for token in self._special:
            if len(token) > 1:
                content = content.replace(token, token[0] + " " + token[1:])
        return content

    def _joined_pieces(self) -> list[str] | None:
        """Each token's text, where a text is nothing but its tokens' texts one after another."""
        state = json.loads(self._tokenizer.backend_tokenizer.to_str())
        if (state.get("decoder") or {}).get("type") != "Fuse":
            return None
        special = set(self._tokenizer.all_special_ids)
        names = self._tokenizer.convert_ids_to_tokens(list(range(self.size)))
        return ["" if at in special or name is None else str(name) for at, name in enumerate(names)]


def _any(stops: Sequence[str], text: str) -> bool:
    return any(stop in text for stop in stops if stop)


def _tokenizer(path: Path) -> Any:
    try:
        from transformers import PreTrainedTokenizerFast
    except ImportError:
        raise MissingExtra("The engine for model folders", "train") from None
    try:
        # Not the class that the model's kind suggests: that one may add tokens which the file does not have.
        return PreTrainedTokenizerFast.from_pretrained(str(path), local_files_only=True)
    except Exception as error:  # the readers of untrusted files raise anything
        raise CheckpointInvalid(
            f"The tokenizer in {path} cannot be read ({line_of(error)}): save it with save_pretrained."
        ) from None


def _end_tokens(path: Path, config: Mapping[str, Any], own: int | None) -> frozenset[int]:
    """The tokens that end a text, from config.json, generation_config.json and the tokenizer."""
    try:
        further = json.loads((path / "generation_config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        further = None
    stated = further.get("eos_token_id") if isinstance(further, dict) else None
    return frozenset(numbers_in(config.get("eos_token_id")) | numbers_in(stated) | numbers_in(own))


def numbers_in(value: Any) -> set[int]:
    """The token ids of a setting that holds one, a list of them, or none."""
    items = value if isinstance(value, list) else [value]
    return {item for item in items if isinstance(item, int) and not isinstance(item, bool)}


def _vocabulary(
    path: Path, config: Mapping[str, Any], tokens: Mapping[str, int], ends: frozenset[int]
) -> int:
    """How many tokens the model knows. Raises CheckpointInvalid if the tokenizer knows others."""
    size = config.get("vocab_size")
    if not isinstance(size, int) or size < 1:
        raise CheckpointInvalid(f"{path / 'config.json'} states no vocab_size: write it again.")
    largest = max([*tokens.values(), *ends], default=0)
    if largest >= size:
        raise CheckpointInvalid(
            f"The tokenizer in {path} has the id {largest}, but the weights know only {size} tokens: "
            "put the tokenizer there that the model was trained with."
        )
    return size

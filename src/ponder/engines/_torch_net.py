"""Forward passes for sampling: read a batch of prompts once, then one token a row at a time.

Rows of different lengths are padded on the left, so that all rows of a batch write their next token at the
same place of the key-value cache. `LlamaNet` is a Llama with a static cache in which a decode step is few and
large operations; `AutoNet` asks any other causal model of the library, with the library's own cache.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ponder.engines._common import line_of
from ponder.engines._torch_folder import ModelFolder
from ponder.errors import CheckpointInvalid, MissingExtra, ModelUnsupported

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError:
    raise MissingExtra("The engine for model folders", "train") from None

__all__ = ["AutoNet", "LlamaNet", "Net", "load_net", "pad_left"]

_SLICE_POSITIONS = 1 << 15
_SLICE_PAIRS = 1 << 26
# PyTorch multiplies batches of matrices smaller than this without its library, several times slower.
_SMALL_PRODUCT = 400
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")


class Net(Protocol):
    """A causal language model on one device. `position_bytes`: the cache that one position of a row takes,
    with its share of what is there twice while a layer's cache is copied."""

    device: torch.device
    position_bytes: int

    def read(self, rows: Tensor, starts: Tensor, room: int) -> tuple[Tensor, Any]:
        """Read prompts [P, T], padded on the left up to `starts` [P]: the logits after each [P, vocab], and
        their cache, which later takes `room` further positions."""
        ...

    def spread(self, state: Any, owners: Tensor) -> Any:
        """A cache with a row for each of `owners` [B]: copies of the rows that they name."""
        ...

    def step(self, tokens: Tensor, state: Any) -> Tensor:
        """Append one token to every row [B]: the logits after it [B, vocab]."""
        ...

    def keep(self, state: Any, rows: Tensor) -> None:
        """Leave these rows [B'] alone in the cache. Each is at its place already or comes from beyond B'."""
        ...

    def held(self, state: Any) -> int:
        """How many rows the cache takes memory for."""
        ...

    def hidden(self, rows: Tensor, starts: Tensor) -> Tensor:
        """The last hidden states, after the final norm, of rows [P, T] padded on the left: [P, T, d]."""
        ...


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids [P, T], padded on the left with 0, and where each begins [P]."""
    width = max(len(row) for row in rows)
    padded = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    return padded, torch.tensor([width - len(row) for row in rows], device=device)


def load_net(folder: ModelFolder, device: str = "auto") -> Net:
    """The folder's model, in float32 on a processor and in its own precision on a GPU.

    Raises CheckpointInvalid if its weights do not fit its configuration, ModelUnsupported if the library has
    no such model.
    """
    place = torch.device(_device(device))
    with _quiet():
        model = _load(folder, torch.float32 if place.type == "cpu" else "auto")
    model.to(place).eval().requires_grad_(False)
    rope = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type", "default")
    is_llama = type(model).__name__ == "LlamaForCausalLM" and model.config.hidden_act == "silu"
    return LlamaNet(model) if is_llama and rope in _STATIC_ROPE else AutoNet(model)


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _load(folder: ModelFolder, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model, told = AutoModelForCausalLM.from_pretrained(
            str(folder.path),
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ModelUnsupported(f"{folder.path} cannot be loaded ({line_of(error)}).") from None
    except RuntimeError as error:
        raise CheckpointInvalid(
            f"The weights in {folder.path} do not fit its config.json ({line_of(error)})."
        ) from None
    absent = sorted(told["missing_keys"]) or sorted(str(key) for key in told["mismatched_keys"])
    if absent:
        raise CheckpointInvalid(
            f"The weights in {folder.path} do not fit its config.json ({absent[0]} is missing or of another "
            "size): save model and configuration together."
        )
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bars and advice."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _slices(rows: Tensor) -> Iterator[slice]:
    """Stretches of prompts whose attention fits into memory together."""
    count, width = rows.shape
    size = max(1, min(_SLICE_POSITIONS // width, _SLICE_PAIRS // (width * width)))
    return (slice(first, first + size) for first in range(0, count, size))


# ------------------------------------------------------------------------------------------- Llama


@dataclass(slots=True)
class _Layer:
    """One block's matrices, [in, out], with the norm before each folded in.

    Rotary pairs lie side by side, so that a rotation is one complex product, and queries carry attention's
    scale. `into` gives queries, keys and values at once, `up` the gate and what it gates.
    """

    into: Tensor
    into_bias: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    up: Tensor
    up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None


class LlamaRows:
    """Keys and values of each layer, [B, kv_heads, positions, d_head]; the first `length` are written."""

    def __init__(self, keys: list[Tensor], values: list[Tensor], starts: Tensor, length: int, room: int):
        self.keys, self.values, self.starts, self.length, self.room = keys, values, starts, length, room
        self.padded = bool((starts > 0).any())


class LlamaNet:
    """LlamaForCausalLM, its weights rearranged for decoding."""

    def __init__(self, model: Any) -> None:
        config, inner = model.config, model.model
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        embedding = inner.embed_tokens.weight
        self.device, self._kind = embedding.device, embedding.dtype
        self._epsilon, self._rotary = float(config.rms_norm_eps), inner.rotary_emb
        self._embedding = embedding
        self.d_head = inner.layers[0].self_attn.head_dim
        self._layers = [self._fold(layer) for layer in inner.layers]
        self._norm = inner.norm.weight
        self._unembedding = (model.lm_head.weight * self._norm).t().contiguous()
        self._turns = self._turns_up_to(256)
        # A half more for `keep`, which copies one of 2 · layers tensors into one of half its rows.
        halves = 4 * len(self._layers) + 1
        self.position_bytes = halves * self.kv_heads * self.d_head * self._kind.itemsize // 2

    def _fold(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        before, after = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        parts = [(attention.q_proj, self.heads), (attention.k_proj, self.kv_heads)]
        weights = [self._paired(linear.weight, heads) for linear, heads in parts]
        biases = [linear.bias for linear, _ in parts]
        biases = [b if b is None else self._paired(b, h) for b, (_, h) in zip(biases, parts, strict=True)]
        scale = self.d_head**-0.5
        into = torch.cat([weights[0] * scale, weights[1], attention.v_proj.weight]) * before
        into_bias = None
        if biases[0] is not None:
            into_bias = torch.cat([biases[0] * scale, biases[1], attention.v_proj.bias])
        up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]) * after
        up_bias = None if mlp.up_proj.bias is None else torch.cat([mlp.gate_proj.bias, mlp.up_proj.bias])
        return _Layer(
            into.t().contiguous(),
            into_bias,
            attention.o_proj.weight.t().contiguous(),
            attention.o_proj.bias,
            up.t().contiguous(),
            up_bias,
            mlp.down_proj.weight.t().contiguous(),
            mlp.down_proj.bias,
        )

    def _paired(self, weight: Tensor, heads: int) -> Tensor:
        """Rows of each head in the order 0, D/2, 1, D/2+1, ...: the two of a rotary pair side by side."""
        halves = weight.reshape(heads, 2, self.d_head // 2, -1)
        return halves.transpose(1, 2).reshape(weight.shape)

    def _turns_up_to(self, positions: int) -> Tensor:
        """The rotation of each pair at each position, as complex numbers [positions, d_head / 2]."""
        at = torch.arange(positions, device=self.device)[None]
        cos, sin = self._rotary(torch.zeros(1, device=self.device, dtype=torch.float32), at)
        half = self.d_head // 2
        return torch.complex(cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous())

    def _rotation(self, positions: Tensor, bound: int) -> Tensor:
        """The rotations at these positions, all below `bound`: [..., 1, d_head / 2]."""
        if bound > len(self._turns):
            self._turns = self._turns_up_to(2 * bound)
        return self._turns[positions].unsqueeze(-2)

    def _normed(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), None, self._epsilon)

    def _project(self, layer: _Layer, x: Tensor, turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys [..., heads, d_head], rotated, and values."""
        flat = _linear(self._normed(x), layer.into, layer.into_bias)
        split = flat.view(*x.shape[:-1], self.heads + 2 * self.kv_heads, self.d_head)
        turned = self.heads + self.kv_heads
        both = split[..., :turned, :]
        pairs = torch.view_as_complex(both.float().reshape(*both.shape[:-1], -1, 2))
        both = torch.view_as_real(pairs * turns).flatten(-2).to(self._kind)
        return both[..., : self.heads, :], both[..., self.heads :, :], split[..., turned:, :]

    def _finish(self, layer: _Layer, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of a block: attention's output [..., heads * d_head] and the feed-forward, added to x."""
        x = x + _linear(attended, layer.out, layer.out_bias)
        gate, up = _linear(self._normed(x), layer.up, layer.up_bias).chunk(2, -1)
        return x + _linear(functional.silu(gate) * up, layer.down, layer.down_bias)

    def _pass(self, rows: Tensor, starts: Tensor, caches: list[tuple[Tensor, Tensor]] | None) -> Tensor:
        """A pass over whole rows [P, T], before the final norm; keys and values are appended to `caches`."""
        width = rows.shape[1]
        at = torch.arange(width, device=self.device)
        turns = self._rotation((at - starts[:, None]).clamp_min(0), width)
        mask = _prompt_mask(starts, width) if bool((starts > 0).any()) else None
        groups = self.heads // self.kv_heads
        x: Tensor = self._embedding[rows]
        for layer in self._layers:
            q, k, v = (part.transpose(1, 2) for part in self._project(layer, x, turns))
            if caches is not None:
                caches.append((k, v))
            if groups > 1:
                k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            attended = functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None and width > 1, scale=1.0
            )
            x = self._finish(layer, x, attended.transpose(1, 2).flatten(-2))
        return x

    def hidden(self, rows: Tensor, starts: Tensor) -> Tensor:
        parts = [self._pass(rows[part], starts[part], None) for part in _slices(rows)]
        states: Tensor = self._normed(torch.cat(parts)) * self._norm
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits [..., vocab] of hidden states before the final norm."""
        logits: Tensor = self._normed(hidden) @ self._unembedding
        return logits.float()

    def read(self, rows: Tensor, starts: Tensor, room: int) -> tuple[Tensor, LlamaRows]:
        last, caches = [], []
        for part in _slices(rows):
            cache: list[tuple[Tensor, Tensor]] = []
            last.append(self._pass(rows[part], starts[part], cache)[:, -1])
            caches.append(cache)
        keys = [torch.cat([c[at][0] for c in caches]) for at in range(len(self._layers))]
        values = [torch.cat([c[at][1] for c in caches]) for at in range(len(self._layers))]
        return self.logits(torch.cat(last)), LlamaRows(keys, values, starts, rows.shape[1], room)

    def spread(self, state: LlamaRows, owners: Tensor) -> LlamaRows:
        def spacious(part: Tensor) -> Tensor:
            count, heads, length, size = len(owners), *part.shape[1:]
            whole = part.new_empty(count, heads, length + state.room, size)
            whole[:, :, :length] = part[owners]
            return whole

        keys, values = ([spacious(part) for part in cache] for cache in (state.keys, state.values))
        return LlamaRows(keys, values, state.starts[owners], state.length, state.room)

    def step(self, tokens: Tensor, state: LlamaRows) -> Tensor:
        count, at = len(tokens), state.length
        state.length = at + 1
        turns = self._rotation(at - state.starts, at + 1)
        mask = None
        if state.padded:
            unseen = torch.arange(at + 1, device=self.device) < state.starts[:, None]
            mask = torch.zeros(unseen.shape, dtype=self._kind, device=self.device)
            mask = mask.masked_fill_(unseen, float("-inf"))[:, None, None]
        x = self._embedding[tokens]
        for layer, keys, values in zip(self._layers, state.keys, state.values, strict=True):
            q, k, v = self._project(layer, x, turns)
            keys[:count, :, at], values[:count, :, at] = k, v
            grouped = q.reshape(count, self.kv_heads, -1, self.d_head)
            attended = _attend(grouped, keys[:count, :, : at + 1], values[:count, :, : at + 1], mask)
            x = self._finish(layer, x, attended.reshape(count, -1))
        return self.logits(x)

    def keep(self, state: LlamaRows, rows: Tensor) -> None:
        count = len(rows)
        to = torch.nonzero(rows != torch.arange(count, device=rows.device)).squeeze(1)
        come = rows[to]
        smaller = 2 * count <= self.held(state)
        for caches in (state.keys, state.values):
            for at, cache in enumerate(caches):
                cache[to, :, : state.length] = cache[come, :, : state.length]
                if smaller:  # so that others find room
                    caches[at] = cache[:count].clone()
        state.starts = state.starts[rows]

    def held(self, state: LlamaRows) -> int:
        return len(state.keys[0])


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = x @ weight
    return product if bias is None else product + bias


def _prompt_mask(starts: Tensor, width: int) -> Tensor:
    """Who may attend to whom, [P, 1, T, T]. What stands before a row's start sees itself alone: a softmax
    over nothing is no number."""
    at = torch.arange(width, device=starts.device)
    causal = (at[None, :] <= at[:, None]) & (at[None, None, :] >= starts[:, None, None])
    return (causal | torch.eye(width, dtype=torch.bool, device=starts.device))[:, None]


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """One query a head, grouped by its key-value head: [B, kv_heads, group, d_head], queries scaled."""
    _, _, group, size = queries.shape
    if queries.device.type != "cpu" or group * size * keys.shape[2] < _SMALL_PRODUCT:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=1.0)
    scores = queries @ keys.transpose(-1, -2)
    if mask is not None:
        scores += mask
    return torch.softmax(scores, -1) @ values


# ------------------------------------------------------------------------------------ any other model


@dataclass(slots=True)
class AutoRows:
    """The library's own cache of a batch."""

    cache: Any
    starts: Tensor
    length: int


class AutoNet:
    """Any causal language model of the library."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.device = next(model.parameters()).device
        config = model.config
        if not hasattr(config, "num_attention_heads"):
            raise ModelUnsupported(
                f"{config.model_type}: it has no attention, and so no key-value cache to sample from: "
                "serve the model, and give its address."
            )
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        item = next(model.parameters()).dtype.itemsize
        # One more for the tensor that the library makes anew, longer or of fewer rows, beside the old one.
        self.position_bytes = (2 * config.num_hidden_layers + 1) * heads * size * item

    def _call(self, rows: Tensor, starts: Tensor, cache: Any, seen: int, **options: Any) -> Any:
        """The model over rows [B, T] at positions from `seen` on."""
        at = torch.arange(seen + rows.shape[1], device=self.device)
        return self._model(
            input_ids=rows,
            attention_mask=(at >= starts[:, None]).long(),
            position_ids=(at[seen:] - starts[:, None]).clamp_min(0),
            cache=cache,
            use_cache=cache is not None,
            **options,
        )

    def read(self, rows: Tensor, starts: Tensor, room: int) -> tuple[Tensor, AutoRows]:
        from transformers import DynamicCache

        # In one piece: the library's caches cannot be joined.
        cache = DynamicCache(config=self._model.config)
        out = self._call(rows, starts, cache, 0, logits_to_keep=1)
        if cache.get_seq_length() != rows.shape[1]:
            raise ModelUnsupported(
                f"{self._model.config.model_type}: it keeps its context in a cache of its own: serve the "
                "model, and give its address."
            )
        return out.logits[:, -1].float(), AutoRows(cache, starts, rows.shape[1])

    def spread(self, state: AutoRows, owners: Tensor) -> AutoRows:
        state.cache.batch_select_indices(owners)
        return AutoRows(state.cache, state.starts[owners], state.length)

    def step(self, tokens: Tensor, state: AutoRows) -> Tensor:
        out = self._call(tokens[:, None], state.starts, state.cache, state.length, logits_to_keep=1)
        state.length += 1
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def keep(self, state: AutoRows, rows: Tensor) -> None:
        state.cache.batch_select_indices(rows)
        state.starts = state.starts[rows]

    def held(self, state: AutoRows) -> int:
        return len(state.starts)

    def hidden(self, rows: Tensor, starts: Tensor) -> Tensor:
        parts = [
            self._call(rows[part], starts[part], None, 0, output_hidden_states=True, logits_to_keep=1)
            for part in _slices(rows)
        ]
        return torch.cat([part.hidden_states[-1] for part in parts])

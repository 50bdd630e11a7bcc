"""A plain float32 forward pass of a Llama-family GGUF in numpy: the reference for log-probabilities."""

from pathlib import Path

import numpy as np
from gguf import GGUFReader, dequantize
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Reference:
    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)

        def field(name: str) -> float:
            return float(reader.get_field(name).contents())

        self.layers = int(field("llama.block_count"))
        self.heads = int(field("llama.attention.head_count"))
        self.kv_heads = int(field("llama.attention.head_count_kv"))
        self.base = field("llama.rope.freq_base")
        self.epsilon = field("llama.attention.layer_norm_rms_epsilon")
        self.weights: dict[str, Floats] = {}
        for tensor in reader.tensors:
            shape = tuple(int(size) for size in reversed(tensor.shape))
            values = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
            self.weights[tensor.name] = values.astype(np.float32)

    def logprobs(self, tokens: list[int]) -> Floats:
        """[T, vocab]: log-probabilities of the token after each position."""
        w = self.weights
        x = w["token_embd.weight"][tokens]
        mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf, dtype=np.float32), 1)
        for layer in range(self.layers):
            x = x + self._attention(x, f"blk.{layer}.", mask)
            x = x + self._feed_forward(x, f"blk.{layer}.")
        logits = self._norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T
        logits -= logits.max(axis=-1, keepdims=True)
        out: Floats = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return out

    def _norm(self, x: Floats, weight: Floats) -> Floats:
        out: Floats = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.epsilon) * weight
        return out

    def _rope(self, x: Floats) -> Floats:
        # GGUF stores Llama's rotary pairs interleaved.
        size = x.shape[-1]
        angles = np.arange(len(x))[:, None] * self.base ** (-np.arange(0, size, 2) / size)
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return out

    def _attention(self, x: Floats, block: str, mask: Floats) -> Floats:
        w = self.weights
        h = self._norm(x, w[block + "attn_norm.weight"])
        count = len(x)
        q = self._rope((h @ w[block + "attn_q.weight"].T).reshape(count, self.heads, -1))
        k = self._rope((h @ w[block + "attn_k.weight"].T).reshape(count, self.kv_heads, -1))
        v = (h @ w[block + "attn_v.weight"].T).reshape(count, self.kv_heads, -1)
        k, v = (np.repeat(a, self.heads // self.kv_heads, axis=1) for a in (k, v))
        scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(q.shape[-1]) + mask
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hts,shd->thd", scores, v).reshape(count, -1)
        out: Floats = mixed @ w[block + "attn_output.weight"].T
        return out

    def _feed_forward(self, x: Floats, block: str) -> Floats:
        w = self.weights
        h = self._norm(x, w[block + "ffn_norm.weight"])
        gate = h @ w[block + "ffn_gate.weight"].T
        up = h @ w[block + "ffn_up.weight"].T
        out: Floats = (gate / (1 + np.exp(-gate)) * up) @ w[block + "ffn_down.weight"].T
        return out

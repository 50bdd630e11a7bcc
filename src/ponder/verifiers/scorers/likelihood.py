"""How likely the model finds its own sample: the sum of its tokens' log-probabilities, in nats.

The sum and not the mean over tokens: the mean rewards a sample that pads its answer with predictable
tokens. On the presets' short worked answers with SmolLM2-135M-Instruct (best of 16, 40 problems each) the
two differ by no more than chance: mean 55, 20, 45, 83, 45 % and sum 55, 23, 45, 80, 43 % on chain_sum,
chain_sum3, lcm, products, addition2. On longer worked answers (32 problems each) the sum was ahead: 44
against 34 % on lists of multiples, 28 against 9 % on counting up.
"""

from __future__ import annotations

from ponder.verifiers._looking import Looking

__all__ = ["create"]


def create() -> Looking:
    """Scores a sample by its total log-probability under the untempered model; None where unknown."""
    return Looking("likelihood", lambda question, sample: sample.logprob)

"""Training: inference turned back into weights, with both kinds of compute on one ledger.

What needs PyTorch comes with the extra `train` and is imported when it is used.
"""

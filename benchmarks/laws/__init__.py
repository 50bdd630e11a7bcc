"""The laws of `ponder.laws`, applied to the ladder's recordings and to the bank of the embedded model.

python -m benchmarks.laws, or make laws

Writes a file of JSON for each question, and the pictures, beside this file; `make docs` makes
docs/findings.md of them. Recordings that are not there are left out, and the page says so.
"""

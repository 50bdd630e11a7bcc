"""Side by side with the libraries that people use today: same endpoint, same problems, same samples,
tokens counted by the endpoint for all.

    make bench-peers

`bank` holds recorded samples, `endpoint` serves them (or a live model) and counts, `workers` drive one
system each in its own environment, `campaign` runs them and keeps every outcome, `figures` and `table`
say what came of it, `speed` compares tokens a second.
"""

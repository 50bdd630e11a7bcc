"""What stands on the pages of docs/inference-and-governance.md: ponder's calculators on committed examples,
what an evaluator sees of the recorded models, and the pictures.

python -m benchmarks.essay [--only PART]     writes the JSON and SVG files of this folder
"""

"""`ponder serve` in front of other people's servers: llama.cpp's, vLLM's and that of transformers."""

"""`ponder serve` in front of other people's servers: llama.cpp's and vLLM's."""

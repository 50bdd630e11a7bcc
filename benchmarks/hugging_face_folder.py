"""Make a Hugging Face model folder of a GGUF file, such as the embedded model's: `ponder train rl --model`
and the engine `transformers` read it. Nothing is downloaded.

python -m benchmarks.hugging_face_folder FOLDER [--gguf FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import platformdirs
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

EMBEDDED = Path(platformdirs.user_cache_dir("ponder")) / "models" / "smollm2-f16.gguf"


def convert(file: Path, folder: Path) -> None:
    """Write the weights in half precision, and the tokenizer with its chat template."""
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    # The library reads every GGUF file as quantised, unpacks it, and still refuses to save it.
    model.hf_quantizer.remove_quantization_config(model)
    model.to(torch.float16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--gguf", type=Path, default=EMBEDDED, help="default: what `models pull smollm2` got")
    chosen = parser.parse_args()
    if not chosen.gguf.is_file():
        parser.error(f"gguf: {chosen.gguf} is not there; run `ponder models pull smollm2`.")
    convert(chosen.gguf, chosen.folder)
    print(f"{chosen.folder}: {sum(f.stat().st_size for f in chosen.folder.iterdir()) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()

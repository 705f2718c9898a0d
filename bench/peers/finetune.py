"""finetune.py LOOM MODEL RESULTS: an adapter on MODEL, trained by loom and by peft, by turns on the same text.

Rank 16 on every matrix of the layers, sequences of 512 tokens, four a step, AdamW.  loom's rate is
what its progress says of the whole run, without loading and saving; peft's is that of its loop, in f32 and under bf16
autocast, and the better one is the peer.  The medians and their ratio (above 1: loom is faster) go to
RESULTS/<machine>-finetune.csv.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import peft
import torch
import transformers

from results import keep

POSITIONS, ROWS, RANK = 512, 4, 16
WORDS = ("table index view schema query server role row creates drops locks reads changes names the a of and in to "
         "which when where column value key").split()


def write_pairs(path, windows):
    """One pair whose answer fills this many windows, and a short one that is held out."""
    words = " ".join(WORDS[(i * 7 + i // 5) % len(WORDS)] for i in range(windows * (POSITIONS - 40)))
    with open(path, "w", encoding="utf-8") as out:
        for split, answer in (("train", words), ("heldout", "Yes.")):
            out.write(json.dumps({"id": split, "snapshot": "s", "question": "What is it?", "answer": answer,
                                  "split": split}) + "\n")


def loom_rate(loom, model, folder):
    """Tokens a second of the whole run, by its own progress."""
    out = folder / "out"
    subprocess.run(["rm", "-rf", out], check=True)
    said = subprocess.run([loom, "finetune", f"--model={model}", f"--pairs={folder}/pairs.jsonl", f"--out={out}",
                           "--epochs=4", f"--window-size={POSITIONS}", f"--window-stride={POSITIONS}",
                           f"--batch-tokens={POSITIONS * ROWS}", f"--lora-rank={RANK}", "--lora-alpha=32", "--lr=1e-4",
                           "--eval-every=0", "--checkpoint-every=0"], check=True, capture_output=True, text=True).stderr
    return float(re.findall(r"([0-9]+) tokens/s", said)[-1])


def peft_rate(model, bf16, steps):
    model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    model = peft.get_peft_model(model, peft.LoraConfig(r=RANK, lora_alpha=32, target_modules="all-linear"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, model.config.vocab_size, (ROWS, POSITIONS))
    times = []
    for _ in range(steps + 1):
        start = time.monotonic()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.monotonic() - start)
    return POSITIONS * ROWS / statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("loom")
    parser.add_argument("model")
    parser.add_argument("results")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peft-steps", type=int, default=4)
    a = parser.parse_args()
    rates = {"loom": [], "f32": [], "bf16": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_pairs(folder / "pairs.jsonl", 12)
        for _ in range(a.turns):
            rates["loom"].append(loom_rate(a.loom, a.model, folder))
            rates["f32"].append(peft_rate(a.model, False, a.peft_steps))
            rates["bf16"].append(peft_rate(a.model, True, a.peft_steps))
    median = {name: statistics.median(values) for name, values in rates.items()}
    peer = max(("f32", "bf16"), key=median.get)
    title, versions = "adapter rank 16 SmolLM2-135M T512", f"peft {peft.__version__} torch {torch.__version__.split('+')[0]}"
    keep(a.results, "finetune", [(f"{title} loom", median["loom"], "tokens/s", a.turns),
                                 (f"{title} {versions} f32", median["f32"], "tokens/s", a.turns),
                                 (f"{title} {versions} bf16", median["bf16"], "tokens/s", a.turns),
                                 (f"{title} loom / peft {peer}", median["loom"] / median[peer], "times as fast", a.turns)])


if __name__ == "__main__":
    main()

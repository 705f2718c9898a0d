"""finetune.py LOOM MODEL RESULTS: an adapter on MODEL, trained by loom and by peft, by turns on the same text.

Rank 16 on every matrix of the layers, sequences of 512 tokens, four a step, AdamW.  loom's seconds of a step are the
difference between a long run and a short one, so loading and saving do not count; peft's are those of its loop, in f32
and under bf16 autocast, and the better one is the peer.  The medians and their ratio (above 1: loom is faster) go to
RESULTS/<machine>-finetune.csv.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import peft
import torch
import transformers

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


def loom_seconds(loom, model, folder, epochs):
    """Seconds and trained tokens of one run."""
    out = folder / f"out{epochs}"
    subprocess.run(["rm", "-rf", out], check=True)
    start = time.monotonic()
    subprocess.run([loom, "finetune", f"--model={model}", f"--pairs={folder}/pairs.jsonl", f"--out={out}", "--quiet",
                    f"--epochs={epochs}", f"--window-size={POSITIONS}", f"--window-stride={POSITIONS}",
                    f"--batch-tokens={POSITIONS * ROWS}", f"--lora-rank={RANK}", "--lora-alpha=32", "--lr=1e-4",
                    "--eval-every=0", "--checkpoint-every=0"], check=True)
    seconds = time.monotonic() - start
    lines = [json.loads(line) for line in open(out / "metrics.jsonl", encoding="utf-8")]
    return seconds, sum(line.get("tokens", 0) for line in lines)


def loom_rate(loom, model, folder):
    short, long = loom_seconds(loom, model, folder, 1), loom_seconds(loom, model, folder, 4)
    return (long[1] - short[1]) / (long[0] - short[0])


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
    machine = os.environ.get("LOOM_MACHINE", "amd-epyc-2c")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
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
    with open(pathlib.Path(a.results) / f"{machine}-finetune.csv", "w", encoding="ascii") as out:
        out.write("machine,commit,bench,case,value,unit,runs\n")
        for case, value, unit in ((f"{title} loom", median["loom"], "tokens/s"),
                                  (f"{title} {versions} f32", median["f32"], "tokens/s"),
                                  (f"{title} {versions} bf16", median["bf16"], "tokens/s"),
                                  (f"{title} loom / peft {peer}", median["loom"] / median[peer], "times as fast")):
            line = f"{machine},{commit},finetune,{case},{value:.6g},{unit},{a.turns}"
            print(line)
            out.write(line + "\n")


if __name__ == "__main__":
    main()

"""embed.py LOOM ENCODER RESULTS: sentence vectors by loom and by sentence-transformers, turn and turn about.

200 sentences of 6 to 40 words from a text that every Debian machine has; the weights as published (F32) and in BF16, as
`loom model export` writes them.  RESULTS/<machine>-embed.csv gets medians of five turns, their ratio, and the smallest
cosine between loom's vectors and the peer's.  --urgent: real-time priority, for a machine that others use too.
"""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import sentence_transformers
import torch
from results import keep

TURNS = 5
SENTENCES = 200
REPEATS = 5   # of the sentences in one turn: half a second and more
TEXT = pathlib.Path("/usr/share/common-licenses/GPL-3")
URGENT = ["chrt", "--fifo", "5"]
PEER = f"sentence-transformers {sentence_transformers.__version__}"


def sentences():
    rng, words = random.Random(1), TEXT.read_text(encoding="utf-8").split()
    made = []
    for _ in range(SENTENCES):
        length = rng.randint(6, 40)
        start = rng.randrange(len(words) - length)
        made.append(" ".join(words[start:start + length]))
    return made


def by_loom(program, folder, texts):
    """(sentences a second, vectors)."""
    done = subprocess.run([*program, "embed", "--json", str(folder)], input="\n".join(texts) + "\n", text=True,
                          capture_output=True, check=True, timeout=600)
    *lines, last = done.stdout.splitlines()
    return json.loads(last)["texts_per_second"], numpy.array([[float(word) for word in line.split()] for line in lines])


def by_peer(model, texts):
    start = time.monotonic()
    vectors = model.encode(texts, batch_size=32, normalize_embeddings=True)
    return len(texts) / (time.monotonic() - start), vectors


def main():
    urgent = "--urgent" in sys.argv
    loom, encoder, results = (pathlib.Path(argument) for argument in sys.argv[1:] if argument != "--urgent")
    if urgent:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    torch.set_num_threads(os.cpu_count())
    peer = sentence_transformers.SentenceTransformer(str(encoder), device="cpu")
    program, texts = [*(URGENT if urgent else []), str(loom)], sentences() * REPEATS
    with tempfile.TemporaryDirectory() as work:
        small = pathlib.Path(work) / "bf16.gguf"
        subprocess.run([loom, "model", "quantize", encoder, "--type=bf16", f"--out={small}"], check=True,
                       capture_output=True)
        by_peer(peer, texts)
        rates, vectors = {}, {}
        for _ in range(TURNS):
            for side, measure in {"loom F32": lambda: by_loom(program, encoder, texts),
                                  "loom BF16": lambda: by_loom(program, small, texts),
                                  PEER: lambda: by_peer(peer, texts)}.items():
                rate, vectors[side] = measure()
                rates.setdefault(side, []).append(rate)
    medians = {side: statistics.median(of_side) for side, of_side in rates.items()}
    rows = [(side, median, "sentences/s", TURNS) for side, median in medians.items()]
    for side in ("loom F32", "loom BF16"):
        cosine = (vectors[side] * vectors[PEER]).sum(1).min()
        rows += [(f"{side} / {PEER}", medians[side] / medians[PEER], "times as fast", TURNS),
                 (f"{side} smallest cosine", f"{cosine:.7f}", "cosine", 1)]
    keep(results, "embed", rows)


main()

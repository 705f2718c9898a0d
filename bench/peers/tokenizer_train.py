"""tokenizer_train.py LOOM CORPUS.jsonl RESULTS: a vocabulary of 32,000 by loom and by Hugging Face's tokenizers.

Both learn byte-level BPE with GPT-2's pre-tokeniser from the same documents, each time in a new process.  The merges
must be the same, line by line; RESULTS/<machine>-tokenizer.csv gets seconds, megabytes per second and resident memory.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import tokenizers
from results import keep

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PEER = f"tokenizers {tokenizers.__version__}"


def peer(corpus, out, size):
    """What the peer does, in a process of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    with open(corpus, encoding="utf-8") as lines:
        tokenizer.train_from_iterator((json.loads(line)["content"] for line in lines), trainer)
    tokenizer.save(out)


def measured(command):
    """Seconds, those of processors, and the largest resident memory in MB."""
    start = time.monotonic()
    result = subprocess.run(["/usr/bin/time", "-f", "%M %U %S", *command], capture_output=True, text=True, check=True)
    resident, user, system = result.stderr.split()[-3:]
    return time.monotonic() - start, float(user) + float(system), int(resident) / 1024


def merges(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["model"]["merges"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loom")
    parser.add_argument("corpus")
    parser.add_argument("results")
    parser.add_argument("--size", type=int, default=32000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer(args.corpus, args.peer, args.size)
        return
    with open(args.corpus, encoding="utf-8") as lines:
        megabytes = sum(len(json.loads(line)["content"].encode()) for line in lines) / 1e6
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "loom": lambda run: [args.loom, "tokenizer", "train", args.corpus, f"--out={folder}/loom{run}",
                                 f"--vocab-size={args.size}", "--pretokenizer=gpt2"],
            PEER: lambda run: [sys.executable, __file__, args.loom, args.corpus, args.results,
                               f"--size={args.size}", f"--peer={folder}/peer.json"],
        }
        seconds, work = {}, {}
        for side, command in sides.items():
            runs = [measured(command(run)) for run in range(args.runs if side == "loom" else 1)]
            seconds[side] = statistics.median(run[0] for run in runs)
            work[side] = statistics.median(run[1] for run in runs)
            case = f"train {args.size} on {megabytes:.0f} MB, 2 threads, {side}"
            rows.append((case, seconds[side], "s", len(runs)))
            rows.append((case, megabytes / seconds[side], "MB/s", len(runs)))
            rows.append((case, work[side], "s of processors", len(runs)))
            rows.append((case, round(max(run[2] for run in runs)), "MB resident", len(runs)))
        if merges(f"{folder}/loom0/tokenizer.json") != merges(f"{folder}/peer.json"):
            sys.exit("the merges differ")
        rows.append((f"train {args.size} on {megabytes:.0f} MB, loom / {PEER}", seconds[PEER] / seconds["loom"],
                     "times as fast", args.runs))
        rows.append((f"train {args.size} on {megabytes:.0f} MB, {PEER} / loom", work[PEER] / work["loom"],
                     "times the work of processors", args.runs))
    keep(args.results, "tokenizer", rows)


if __name__ == "__main__":
    main()

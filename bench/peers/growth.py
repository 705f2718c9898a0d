"""growth.py LOOM OLD.jsonl NEW.jsonl RESULTS: is a model better for new text when its vocabulary has grown?

A small model and its vocabulary learn the documents of OLD.  Then both go on with documents of NEW, and some of OLD
between: as they are, and with a vocabulary that has grown by words of NEW and rows for it ("loom tokenizer grow",
"loom model grow", "loom pretrain --from").  Bits per byte of text that neither has seen, of both kinds, after as many
tokens and after as many bytes of text; seconds of training beside them.  RESULTS/<machine>-growth.csv gets the rows.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import results

SHAPE = ["--dim=128", "--layers=3", "--heads=4", "--kv-heads=4", "--ffn-dim=384", "--context=256", "--batch-tokens=4096",
         "--eval-every=0", "--eval-tokens-max=4096", "--checkpoint-every=0"]


def split(path, folder, name, megabytes, test_bytes):
    """Two files of documents, to learn from and to measure on."""
    documents, size = [], 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            content = json.loads(line)["content"]
            documents.append({"content": content, "source": name})
            size += len(content.encode())
            if size > megabytes * 1e6:
                break
    parts = {"train": [], "test": []}
    test = 0
    for i, document in enumerate(documents):
        held = i % 10 == 7 and test < test_bytes
        test += len(document["content"].encode()) * held
        parts["test" if held else "train"].append(document)
    for part, items in parts.items():
        with open(f"{folder}/{name}-{part}.jsonl", "w", encoding="utf-8") as out:
            out.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    return parts["train"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("loom", "old", "new", "results"):
        parser.add_argument(name)
    parser.add_argument("--what", default="new text", help="what NEW is, for the rows")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--more-steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tokens-max", type=int, default=2000)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--before", default="", help="words in front of commands that compute")
    parser.add_argument("--keep", help="folder to work in, which stays")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or temporary
        pathlib.Path(folder).mkdir(exist_ok=True)

        def loom(*words, before=()):
            return json.loads(subprocess.run([*before, args.loom, *words, "--quiet", "--json"], capture_output=True,
                                             text=True, check=True).stdout.splitlines()[-1])

        def tokens(vocabulary, documents):
            out = f"{folder}/tokens-{pathlib.Path(vocabulary).name}-{pathlib.Path(documents).stem}"
            made = loom("tokens", "build", documents, f"--tokenizer={vocabulary}", f"--out={out}", "--no-table",
                        "--heldout-share=0.01")
            return out, made["bytes_per_token"]

        def train(data, vocabulary, out, steps, start=None):
            began = time.monotonic()
            loom("pretrain", f"--tokens={data}", f"--tokenizer={vocabulary}", f"--out={folder}/{out}", f"--steps={steps}",
                 *SHAPE, *([f"--from={start}"] if start else []), before=args.before.split())
            return f"{folder}/{out}", time.monotonic() - began

        def bits(model, kind):
            rows = loom("model", "compare", model, f"--text={folder}/{kind}-test.jsonl", "--runs=0",
                        "--max-bytes=100000", before=args.before.split())
            return rows["models"][0]["bits_per_byte"]

        old = split(args.old, folder, "old", args.megabytes, 200000)
        new = split(args.new, folder, "new", args.megabytes, 200000)
        with open(f"{folder}/both.jsonl", "w", encoding="utf-8") as out:   # three of new to one of old
            for i, document in enumerate(new):
                out.write(json.dumps(document, ensure_ascii=False) + "\n")
                if i % 3 == 0:
                    out.write(json.dumps(old[i // 3 % len(old)], ensure_ascii=False) + "\n")
        vocabulary, grown = f"{folder}/vocabulary", f"{folder}/grown"
        loom("tokenizer", "train", f"{folder}/old-train.jsonl", f"--out={vocabulary}", f"--vocab-size={args.size}")
        base, _ = train(tokens(vocabulary, f"{folder}/old-train.jsonl")[0], vocabulary, "base", args.steps)
        loom("tokenizer", "grow", f"{folder}/new-train.jsonl", f"--tokenizer={vocabulary}", f"--out={grown}",
             f"--tokens-max={args.tokens_max}", "--count-min=20")
        loom("model", "grow", base, f"--tokenizer={grown}", f"--out={folder}/base-grown")

        data, per_token = tokens(vocabulary, f"{folder}/both.jsonl")
        grown_data, grown_per_token = tokens(grown, f"{folder}/both.jsonl")
        fewer = max(1, round(args.more_steps * per_token / grown_per_token))
        runs = {
            "before": (base, 0),
            "grown, before": (f"{folder}/base-grown", 0),
            f"not grown, {args.more_steps} steps": train(data, vocabulary, "same", args.more_steps, base),
            f"grown, {args.more_steps} steps (as many tokens)":
                train(grown_data, grown, "more", args.more_steps, f"{folder}/base-grown"),
            f"grown, {fewer} steps (as many bytes)": train(grown_data, grown, "fewer", fewer, f"{folder}/base-grown"),
        }
        rows = [(f"{args.what}, vocabulary of {args.size}", per_token, "bytes per token", 1),
                (f"{args.what}, grown by {args.tokens_max}", grown_per_token, "bytes per token", 1)]
        for name, (model, seconds) in runs.items():
            rows.append((f"{args.what}; {name}", bits(model, 'new'), "bits per byte of new text", 1))
            rows.append((f"{args.what}; {name}", bits(model, 'old'), "bits per byte of old text", 1))
            if seconds:
                rows.append((f"{args.what}; {name}", round(seconds, 1), "s", 1))
    results.keep(args.results, "growth", rows)


if __name__ == "__main__":
    main()

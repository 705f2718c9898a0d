"""Times loom's tokenizer beside a peer's on the same vocabulary and text, by turns, each turn in a process of its
own; the medians go to RESULTS/<machine>-tokenizer.csv.

    python3 bench/peers/tokenizer.py build/release/loom RESULTS NAME tokenizer.json text.txt [--peer=gigatoken|hf|sentencepiece] [--turns=5]

cold: the first text of a new tokenizer; warm: the same text again.  The number of ids is compared.  first words: what
`loom tokenizer encode` of two words takes longer than `loom --version`, with the file as it is and compiled.  Needs the
peer's package: gigatoken, tokenizers or sentencepiece.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from results import keep

flags = [a for a in sys.argv[1:] if a.startswith("--")]
args = [a for a in sys.argv[1:] if not a.startswith("--")]
option = dict(f[2:].split("=", 1) for f in flags if "=" in f)
peer, turns = option.get("peer", "gigatoken"), int(option.get("turns", 5))


def peer_turn(path, text_path):
    with open(text_path, "rb") as f:
        text = f.read()
    if peer == "gigatoken":
        import gigatoken
        encode, text = gigatoken.Tokenizer(path).encode, text
    elif peer == "hf":
        from tokenizers import Tokenizer
        t, text = Tokenizer.from_file(path), text.decode("utf-8", "ignore")
        encode = lambda s: t.encode(s, add_special_tokens=False).ids
    else:
        import sentencepiece
        encode = sentencepiece.SentencePieceProcessor(model_file=path).encode
        text = text.decode("utf-8", "ignore")
    times = []
    for _ in range(2):
        start = time.perf_counter()
        ids = encode(text)
        times.append(time.perf_counter() - start)
    size = os.path.getsize(text_path) / 1e6
    print(json.dumps({"encode cold": size / times[0], "encode warm": size / times[1], "ids": len(ids)}))


def run(command, threads):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    return json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)


def milliseconds(*command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1000


def first_words(loom, path):
    """File as it is, compiled: medians of 31 processes, by turns."""
    times = {"": [], path: [], "compiled": []}
    with tempfile.TemporaryDirectory() as folder:
        compiled = f"{folder}/compiled.lmtok"
        subprocess.run([loom, "tokenizer", "compile", path, compiled, "--quiet"], check=True, capture_output=True)
        for _ in range(31):
            times[""].append(milliseconds(loom, "--version"))
            for key, file in ((path, path), ("compiled", compiled)):
                times[key].append(milliseconds(loom, "tokenizer", "encode", "two words", f"--tokenizer={file}", "--quiet"))
    start, *medians = map(statistics.median, times.values())
    return [median - start for median in medians]


def main():
    loom, results, name, path, text = args
    rows = []
    ours, theirs = {}, {}
    for _ in range(turns):
        for threads in (1, 2):
            out = run([loom, "bench", "tokenizer", path, text, "--json", f"--threads={threads}"], threads)
            for measured in out.get("result", out)["rows"]:
                key = measured["case"] + (" 2" if threads == 2 else "")
                ours.setdefault(key, []).append(measured["value"])
        out = run([sys.executable, __file__, "--peer=" + peer, "--turn", path, text], 1)
        for key in ("encode cold", "encode warm"):
            theirs.setdefault(key, []).append(out[key])
    median = lambda values: statistics.median(values)

    def row(case, value, unit):
        rows.append((f"{name} {case}", value, unit, turns))

    for key in ("encode cold", "encode warm"):
        row(f"{key} loom", median(ours[key]), "MB/s")
        row(f"{key} {peer}", median(theirs[key]), "MB/s")
        row(f"{key} loom / {peer}", median(ours[key]) / median(theirs[key]), "times as fast")
    one, two = median(ours["encode with threads"]), median(ours["encode with threads 2"])
    row("encode 1 thread loom", one, "MB/s")
    row("encode 2 threads loom", two, "MB/s")
    row("encode 2 threads / 1 thread loom", two / one, "times as fast")
    row("decode loom", median(ours["decode"]), "MB/s")
    for kind, value in zip(("file", "compiled"), first_words(loom, path)):
        rows.append((f"{name.split()[0]} first words of a process, {kind}, loom", value, "ms", 31))
    keep(results, "tokenizer", rows)


if "--turn" in flags:
    peer_turn(*args)
else:
    main()

"""check_tokenizer_fuzz.py LOOM TOKENIZER.json... [--count=N] [--seed=S] [--text=FILE] [--peer=tiktoken] [--offsets=1]:
random texts.

Each vocabulary encodes N random and mutated texts (20,000 unless said) and, if one is named, a file of real text in
loom and in Hugging Face's tokenizers (or in tiktoken, by the ranks of the same file): a line of figures every 100,000
texts, then one for each text with other ids.  In half of the texts what spells a special token becomes it, in the other
half it stays text.  With --offsets the bytes that each id stands for are compared, too.  One loom process
for each half takes all texts: ten million are a matter of the peer's time.
"""
import json
import queue
import random
import subprocess
import sys
import threading
import time

from common import need, verdict
from hard_texts import BLANKS, CONTRACTIONS, DIGITS, SPECIAL, WORDS, characters_by_class

tokenizers, = need("tokenizers")

BATCH = 10000
REPORT = 100000
SHOWN = 5   # differences in full
flags = dict(a[2:].split("=", 1) for a in sys.argv[1:] if a.startswith("--"))
program, *paths = [a for a in sys.argv[1:] if not a.startswith("--")]


class Loom:
    """A loom process that turns lines into ids; its answers come later, in the order of the questions."""

    def __init__(self, path, special):
        self.child = subprocess.Popen(
            [program, "tokenizer", "encode", "--lines", "--quiet", f"--tokenizer={path}"]
            + ["--allow-special"] * special + ["--offsets"] * ("offsets" in flags),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.asked, self.wrong, self.count = queue.Queue(maxsize=8), [], 0
        self.lines = queue.Queue(maxsize=8)
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.write, self.compare)]
        for thread in self.threads:
            thread.start()

    def write(self):
        while (lines := self.lines.get()) is not None:
            self.child.stdin.write(lines)
            self.child.stdin.flush()
        self.child.stdin.close()

    def compare(self):
        while (batch := self.asked.get()) is not None:
            for text, ids in zip(*batch):
                if (line := self.child.stdout.readline().rstrip(b"\n")) != ids:
                    self.wrong.append(text)
                    if len(self.wrong) < SHOWN:
                        print(f"{text[:100]!a}: {line[:300]} instead of {ids[:300]}", flush=True)
                self.count += 1

    def ask(self, texts):
        self.lines.put("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in texts).encode())

    def expect(self, texts, lines):
        self.asked.put((texts, [line.encode() for line in lines]))

    def end(self):
        self.lines.put(None)
        self.asked.put(None)
        for thread in self.threads:
            thread.join()
        if self.child.wait() or self.child.stdout.read():
            verdict(False, f"loom ended with {self.child.returncode}, or said too much")


def with_offsets(text, encoding):
    """As loom writes it, in bytes."""
    at = [0]
    for character in text:
        at.append(at[-1] + len(character.encode()))
    spans = [[at[start], at[end]] for start, end in encoding.offsets]
    return json.dumps({"ids": encoding.ids, "offsets": spans}, separators=(",", ":"))


class HuggingFace:
    def __init__(self, path):
        self.peer = tokenizers.Tokenizer.from_file(path)
        self.peer.no_truncation()
        self.peer.no_padding()

    def encode(self, texts, special):
        self.peer.encode_special_tokens = not special
        if "offsets" not in flags:
            return [" ".join(map(str, e.ids)) for e in self.peer.encode_batch_fast(texts, add_special_tokens=False)]
        return [with_offsets(text, e) for text, e in
                zip(texts, self.peer.encode_batch(texts, add_special_tokens=False))]


class Tiktoken:
    """For a byte-level file whose merges are its ranks."""

    def __init__(self, path):
        tiktoken, = need("tiktoken")
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
        hidden = [b for b in range(256) if b not in visible]
        byte_of = {chr(b): b for b in visible} | {chr(256 + i): b for i, b in enumerate(hidden)}
        self.special = {t["content"]: t["id"] for t in data["added_tokens"]}
        ranks = {bytes(byte_of[c] for c in piece): rank for piece, rank in data["model"]["vocab"].items()
                 if piece not in self.special}
        pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"   # GPT-2's
        pre = data["pre_tokenizer"]
        if pre["type"] == "Sequence" and pre["pretokenizers"][0]["type"] == "Split":
            pattern = pre["pretokenizers"][0]["pattern"]["Regex"]
        self.peer = tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks=ranks, special_tokens=self.special)

    def encode(self, texts, special):
        ids = self.peer.encode_batch(texts, num_threads=1, allowed_special="all" if special else set(),
                                     disallowed_special=())
        return [" ".join(map(str, one)) for one in ids]


class Texts:
    """Random texts: fragments that tell tokenizers apart, side by side; some mutated."""

    def __init__(self, path, seed):
        self.rng = rng = random.Random(seed)
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        added = [t["content"] for t in data["added_tokens"]]
        pieces = [p.replace("\u0120", " ").replace("\u2581", " ").replace("##", "")
                  for p in rng.sample(list(data["model"]["vocab"]), 3000)]
        classes = characters_by_class()
        of_class = ["".join(rng.choices(rng.choice(classes), k=rng.randint(1, 3))) for _ in range(4000)]
        anywhere = [chr(c) for c in (rng.randrange(0x110000) for _ in range(2000)) if not 0xd800 <= c < 0xe000]
        letters = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, 60))) for _ in range(500)]
        runs = [rng.choice("ab-_=.# \n\t\u00e9\u4e2d0") * rng.randint(1, 70) for _ in range(300)]
        marks = [rng.choice(WORDS) + rng.choice(["\u0301", "e\u0301", "\u3099", "\u0300\u0323", "\u1100\u1161",
                                                 "\uac00\u11a8", "\u212b", "\u0958"]) for _ in range(500)]
        numbers = [str(rng.randrange(10 ** rng.randint(1, 12))) for _ in range(500)]
        signs = ["".join(rng.choices(".,;:!?()[]{}<>-_=+*/\\|@#$%^&~`\"'", k=rng.randint(1, 4))) for _ in range(700)]
        cased = [p.upper() if rng.random() < 0.5 else p.title() for p in rng.sample(pieces, 500)]
        looks = [self.mutated(t) for t in rng.choices(added, k=300)] + SPECIAL + added[:100] if added else SPECIAL
        self.fragments = (pieces + of_class + anywhere + letters + runs + marks + numbers + signs + cased
                          + looks + (BLANKS + CONTRACTIONS + DIGITS + WORDS) * 12)

    def mutated(self, text):
        """One character more, less, other or twice."""
        at = self.rng.randrange(len(text) + 1)
        new = self.rng.choice(" \n'|<>aZ0\u00e9\u4e2d\u0301")
        return self.rng.choice([text[:at] + new + text[at:], text[:at] + text[at + 1:], text[:at] + new + text[at + 1:],
                                text[:at] + text[max(0, at - 1):]])

    def batch(self, count):
        rng, texts = self.rng, []
        for _ in range(count):
            text = "".join(rng.choices(self.fragments, k=1 + min(int(rng.expovariate(0.5)), 30)))
            texts.append(self.mutated(text) if rng.random() < 0.2 else text)
        return texts


def real_texts(path):
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            block += file.readline()
            text = block.decode("utf-8", "ignore")
            yield [text[i:i + 20000] for i in range(0, len(text), 20000)]


def run(path):
    peer = (Tiktoken if flags.get("peer") == "tiktoken" else HuggingFace)(path)
    halves = [Loom(path, special) for special in (False, True)]
    texts, count = Texts(path, int(flags.get("seed", 1))), int(flags.get("count", 20000))
    start, told, size = time.time(), 0, 0

    def compare(batch, special):
        halves[special].ask(batch)
        halves[special].expect(batch, peer.encode(batch, special))

    done = 0
    while done < count:
        batch = texts.batch(min(BATCH, count - done))
        compare(batch, done // BATCH % 2)
        done += len(batch)
        if done - told >= REPORT:
            told = done
            print(f"{path}: {done} texts, {sum(len(h.wrong) for h in halves)} with other ids, "
                  f"{done / (time.time() - start):.0f} texts/s", flush=True)
    if "text" in flags:
        for batch in real_texts(flags["text"]):
            size += sum(len(t.encode()) for t in batch)
            compare(batch, False)
    for half in halves:
        half.end()
    return sum(h.count for h in halves), size, sum((h.wrong for h in halves), [])


def main():
    total, wrong, real = 0, [], 0
    for path in paths:
        count, size, other = run(path)
        total, wrong, real = total + count, wrong + other, real + size
        print(f"{path}: {count} texts, {size} bytes of real text, {len(other)} with other ids", flush=True)
        for text in other[:20]:
            print(f"    {text[:200]!a}", flush=True)
    verdict(not wrong, f"{len(paths)} vocabularies, {total} texts and {real} bytes of real text: {len(wrong)} with "
            f"other ids{''.join(f'; the first: {text[:100]!a}' for text in wrong[:1])}")


main()

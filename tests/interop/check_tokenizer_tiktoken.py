"""check_tokenizer_tiktoken.py LOOM DOCUMENTS WORK [FILE.tiktoken:NAME...]: tiktoken and loom mean the same by ranks.

Byte-level vocabularies are trained here by tokenizers with the patterns of GPT-2, cl100k and o200k; loom writes them as
tiktoken's files, which tiktoken and loom read: ids of 500 paragraphs and 4,000 hard texts.  Once more with the pattern
as tiktoken writes it, in possessive form.  Files named behind go the same way.
"""
import base64
import json
import os
import sys

from common import ids_of, loom, need, paragraphs, verdict
from hard_texts import hard_texts

tiktoken, tokenizers = need("tiktoken", "tokenizers")
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

program, documents, work, *files = sys.argv[1:]
folder = f"{work}/tiktoken"
os.makedirs(folder)
real = paragraphs(documents, 500)
texts = real + hard_texts(4000, with_special=True) + ["a" * 3000, " " * 3000, "\n" * 300 + "x", "", "ab\n"]

O200K_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}]%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS = {
    "gpt2": (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
             r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"),
    "cl100k": (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
               r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"),
    "o200k": ("|".join([O200K_WORD % ("*", "+"), O200K_WORD % ("+", "*"), r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                        r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]), None),
}
wrong, compared = [], 0


def train(pattern, path):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(real, trainers.BpeTrainer(vocab_size=3000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.save(path)


def peer_of(path):
    with open(f"{path}/tiktoken.json", encoding="utf-8") as file:
        settings = json.load(file)
    with open(f"{path}/tokenizer.tiktoken", "rb") as file:
        ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, file)}
    return tiktoken.Encoding("peer", mergeable_ranks=ranks, **settings), settings


def compare(name, path, peer):
    global compared
    for special in (False, True):
        lines = loom(program, "tokenizer", "encode", f"--tokenizer={path}", "--lines", *["--allow-special"] * special,
                     lines=map(json.dumps, texts))
        for text, ids in zip(texts, ids_of(lines), strict=True):
            if ids != peer.encode(text, allowed_special="all" if special else set(), disallowed_special=()):
                wrong.append(f"{name}: {text[:80]!r}")
            compared += 1


def check(name, source, possessive):
    path = f"{folder}/{name}"
    loom(program, "tokenizer", "convert", source, f"--out={path}", "--to=tiktoken")
    peer, settings = peer_of(path)
    compare(name, source, peer)
    compare(f"{name}, written", path, peer)
    if possessive:
        with open(f"{path}/tiktoken.json", "w", encoding="utf-8") as file:
            json.dump(settings | {"pat_str": possessive}, file)
        compare(f"{name}, possessive", path, peer_of(path)[0])


for name, (pattern, possessive) in PATTERNS.items():
    train(pattern, f"{folder}/{name}.json")
    check(name, f"{folder}/{name}.json", possessive)
for source in files:
    name = source.rsplit(":", 1)[-1]
    check(f"{name}-file", source, PATTERNS.get(name.split("_")[0], (None, None))[1])
verdict(not wrong, f"{len(PATTERNS) + len(files)} vocabularies, {compared} texts: {len(wrong)} with other ids than tiktoken "
        f"{tiktoken.__version__}" + "".join(f"; the first: {first}" for first in wrong[:1]))

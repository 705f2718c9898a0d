"""check_tokenizer_patterns.py LOOM WORK [COUNT [SEED]]: random patterns of Split cut texts as tokenizers does.

Each pattern is put together of what the patterns of real tokenizers are made of.  Its pieces of 20 random texts make
the vocabulary, so that equal ids are equal pieces: once as byte-level BPE, whose stages one engine runs, once as a
chain of components.  Patterns that Oniguruma does not take, and those that match where there is nothing, are left out;
what loom refuses is counted.
"""
import json
import os
import random
import subprocess
import sys

from common import need, verdict

tokenizers, = need("tokenizers")
from tokenizers import Regex, pre_tokenizers

program, work, *rest = sys.argv[1:]
count = int(rest[0]) if rest else 300
rng = random.Random(int(rest[1]) if len(rest) > 1 else 1)
os.makedirs(work, exist_ok=True)
BEHAVIORS = {"isolated": "Isolated", "merged_with_previous": "MergedWithPrevious", "merged_with_next": "MergedWithNext",
             "contiguous": "Contiguous"}
CATEGORIES = ["L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "N", "Nd", "P", "S", "Z", "Zs", "Sc", "C", "Cc",
              "Letter", "Han", "Greek", "Cyrillic", "Hiragana", "Latin", "Alpha", "Digit", "Punct", "Space", "Upper", "Lower"]
LETTERS = ["a", "b", "s", "t", "k", "K", "S", "x", "1", "2", " ", "'", "-", ".", "_", "\u00e9", "\u4e2d", "\u03c3",
           "\\n", "\\r", "\\t", "\\.", "\\-", "\\$", "\\x41", "\\x{4e2d}", "\\u4e2d", "\\/", "\\'", "\\ ", "\\\\"]
TEXT = list("aabbsstxkKSAT12345  \t'-._!?$/\\\r\n\n") + ["\u00e9", "\u00c9", "\u4e2d", "\u6587", "\u03c3", "\u03c2", "\u03a3",
        "\u017f", "\u212a", "\u0301", "\u3000", "\u00a0", "\u2028", "\u0085", "\u01c5", "\u02b0", "\u0661", "\u00b2", "\u20ac",
        "\U0001f600", "\u0430", "\u0410", "\u304b", "\u30ab", "\u0000", "\u200b", "'s", "'LL", "  ", "\r\n"]


def chance(share):
    return rng.random() < share


def member():
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(["\\p{%s}", "\\P{%s}", "\\p{%s}", "\\p{^%s}"]) % rng.choice(CATEGORIES)
    if kind < 0.45:
        return rng.choice(["\\s", "\\S", "\\d", "\\w", "\\D", "\\W", "\\h"])
    if kind < 0.6:
        return rng.choice(["a-z", "A-Z", "0-9", "a-f", "\\u4e00-\\u9fff", "\u0430-\u044f", "!-/", "\\x00-\\x1f", "\\u{3040}-\\u{309f}"])
    return rng.choice([c for c in LETTERS if c != "-"])


def a_set():
    kind = rng.random()
    if kind < 0.25:
        return rng.choice(LETTERS)
    if kind < 0.45:
        return rng.choice(["\\p{%s}", "\\P{%s}", "\\p{%s}"]) % rng.choice(CATEGORIES)
    if kind < 0.6:
        return rng.choice(["\\s", "\\S", "\\d", "\\w", ".", "\\D", "\\W"])
    inside = "".join(member() for _ in range(rng.randint(1, 4)))
    if chance(0.08):
        inside += "&&" + rng.choice(["[^a]", "\\p{L}", "[a-z]", "[^\\s]"])
    if chance(0.08):
        inside += rng.choice(["[b-d]", "[^\\s\\S]", "[:alpha:]", "[:^space:]", "[[:digit:]]"])
    return f"[{rng.choice(['', '^'])}{inside}{rng.choice(['', '', '', '-'])}]"


def repeated(item):
    kind = rng.random()
    if kind < 0.5:
        return item
    operator = rng.choice(["*", "+", "+", "?", "{1,3}", "{2}", "{2,}", "{,2}", "{0,1}"])
    return item + operator + rng.choice(["", "", "", "?", "+"])


def sequence(depth):
    parts = []
    for _ in range(rng.randint(1, 3)):
        if depth < 2 and chance(0.2):
            opening = rng.choice(["(?:", "(", "(?i:", "(?:", "(?>", "(?-i:", "(?i)(?:", "(?<n>", "(?s:", "(?m:", "(?x: "])
            parts.append(repeated(opening + either(depth + 1) + ")"))
        else:
            parts.append(repeated(a_set()))
    if chance(0.15):
        parts.append(rng.choice(["(?!%s)", "(?=%s)"]) % rng.choice([a_set(), a_set(), sequence(2)]))
    elif chance(0.06):
        parts.append(rng.choice(["$", "\\z", "\\Z", "\\b", "(?!\\S)", "(?=\\s|$)"]))
    elif chance(0.05):
        parts.insert(0, rng.choice(["^", "\\A", "\\b", "(?<=a)", "(?<!\\s)", "\\B"]))
    return "".join(parts)


def either(depth):
    return "|".join(sequence(depth) for _ in range(rng.randint(1, 3 if depth else 5)))


def real_pattern():
    """One that is in use, perhaps with a part of it changed."""
    pattern = rng.choice([
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
        "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "\\p{N}{1,3}(?=(?:\\p{N}{3})*(?:\\P{N}|$))", "[0-9][0-9][0-9]", "\\s?\\p{L}+|\\s?\\p{P}+|\\n",
        " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", "(?=(\\d{3})+(?!\\d))", "\\d{3}|\\d{1,2}",
        "'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "[\r\n]|\\s?\\p{Lu}\\p{Ll}*|\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+|\\s+$|[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+|\\p{N}+"])
    if chance(0.6):
        old = rng.choice(["\\p{L}", "\\p{N}", "\\s", "+", "?", "*", "{1,3}", "|"])
        at = [i for i in range(len(pattern)) if pattern.startswith(old, i)]
        if at:
            i = rng.choice(at)
            pattern = pattern[:i] + rng.choice([a_set(), old + "+", old, "+?", "|"]) + pattern[i + len(old):]
    return pattern


def text():
    return "".join(rng.choices(TEXT, k=rng.randint(1, 25)))


visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
hidden = [b for b in range(256) if b not in visible]
CHAR_OF = {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def split_of(pattern, behavior):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": BEHAVIORS[behavior], "invert": False}


def as_bytes(pieces, pattern, behavior):
    """Whole pieces are tokens (ignore_merges)."""
    vocab = {CHAR_OF[b]: b for b in range(256)}
    for piece in pieces:
        vocab.setdefault("".join(CHAR_OF[b] for b in piece.encode()), len(vocab))
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split_of(pattern, behavior), level]},
            "post_processor": None, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                      "vocab": vocab, "merges": []}}, lambda p: vocab["".join(CHAR_OF[b] for b in p.encode())]


def as_chain(pieces, pattern, behavior):
    vocab = {"[U]": 0}
    for piece in pieces:
        vocab.setdefault(piece, len(vocab))
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": split_of(pattern, behavior), "post_processor": None, "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[U]"}}, lambda p: vocab[p]


wrong, compared, left_out, refused = [], 0, 0, {}
path = f"{work}/tokenizer.json"
stderr = os.dup(2)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)   # panics of the peer
for number in range(count):
    pattern = real_pattern() if chance(0.3) else either(0)
    behavior = rng.choice(list(BEHAVIORS)) if chance(0.4) else "isolated"
    texts = [text() for _ in range(20)]
    try:
        if any(a == b for (a, b) in [o for t in ["", "a", " ", "\u4e2d"] for _, o in pre_tokenizers.Split(Regex(f"(?:{pattern})"), "isolated").pre_tokenize_str(t)]):
            raise ValueError
        cutter = pre_tokenizers.Split(Regex(pattern), behavior)
        pieces = [[p for p, _ in cutter.pre_tokenize_str(t)] for t in texts]
    except BaseException:
        left_out += 1
        continue
    for way in (as_bytes, as_chain):
        config, id_of = way([p for one in pieces for p in one], pattern, behavior)
        with open(path, "w") as file:
            json.dump(config, file)
        done = subprocess.run([program, "tokenizer", "encode", f"--tokenizer={path}", "--lines", "--quiet"], capture_output=True,
                              encoding="utf-8", errors="surrogateescape", input="".join(json.dumps(t) + "\n" for t in texts))
        if done.returncode:
            said = done.stderr.strip()
            if os.environ.get("LOOM_SHOW_REFUSED"):
                print(f"{pattern!r}: {said}")
            why = said.rsplit("is not supported: ", 1)[-1].split(" at '")[0][:70] + (" " + said.split(" at '")[1][:6] if "the operator" in said or "category" in said or "the escape" in said else "")
            refused[why] = refused.get(why, 0) + 1
            break
        own = [[int(word) for word in line.split()] for line in done.stdout.split("\n")[:-1]]
        back = {id_of(p): p for one in pieces for p in one}
        for t, want, ids in zip(texts, pieces, own, strict=True):
            if ids != [id_of(p) for p in want]:
                wrong.append(f"{way.__name__} {behavior} {pattern!r} of {t!r}: {[back.get(i, i) for i in ids]} instead of {want}")
                break
        compared += 1
os.dup2(stderr, 2)
for line in wrong[:int(os.environ.get("LOOM_SHOW", "3"))]:
    print(line, file=sys.stderr)
for why, times in sorted(refused.items(), key=lambda r: -r[1])[:int(os.environ.get("LOOM_SHOW", "3"))]:
    print(f"  refused {times}: {why}", file=sys.stderr)
verdict(not wrong, f"{compared} random patterns of 20 texts each as tokenizers {tokenizers.__version__} has them, {sum(refused.values())} "
        f"refused, {left_out} that it does not take, {len(wrong)} different")

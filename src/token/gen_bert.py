"""Writes bert_tables.c: what BertNormalizer and BertPreTokenizer of Hugging Face's tokenizers do to each character.

    python3 src/token/gen_bert.py src/token/bert_tables.c        (with tokenizers 0.23.3)

They mix Unicode versions, so the tables are asked from them, one code point at a time.
"""
import sys

import tokenizers
from tokenizers import normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def normalizer(**options):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **options})


def ranges(points):
    found = []
    for c in sorted(points):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def lower_runs(lower):
    """(first, last, step, distance): every step-th character of the range moves by the distance."""
    runs = []
    for c, to in sorted(lower.items()):
        if runs and to - c == runs[-1][3]:
            first, last, step, _ = runs[-1]
            if c - last == (step or c - last) and c - last <= 2:
                runs[-1][1:3] = [c, c - last]
                continue
        runs.append([c, c, 0, to - c])
    return [[first, last, step or 1, distance] for first, last, step, distance in runs]


def number(n):
    return "{ " + ", ".join(map(hex, n)) + " }" if isinstance(n, list) else str(n) if n < 0 else hex(n)


def rows(name, kind, items):
    text = f"const {kind} {name}[{len(items)}] = {{\n"
    line = "   "
    for item in items:
        cell = " { " + ", ".join(map(number, item)) + " },"
        if len(line) + len(cell) > 110:
            text, line = text + line + "\n", "   "
        line += cell
    return text + line + "\n};\n"


cleaned, cjk = normalizer(clean_text=True), normalizer(handle_chinese_chars=True)
stripped, lowered = normalizer(strip_accents=True), normalizer(lowercase=True)
words = pre_tokenizers.BertPreTokenizer()
removed, han, marks, punctuation, bare, lower = [], [], [], [], {}, {}
for point in POINTS:
    char = chr(point)
    if cleaned.normalize_str(f"a{char}b") == "ab":
        removed.append(point)
    if cjk.normalize_str(char) != char:
        han.append(point)
    if [w for w, _ in words.pre_tokenize_str(f"a{char}b")] == ["a", char, "b"]:
        punctuation.append(point)
    without = [ord(c) for c in stripped.normalize_str(char)]
    if not without:
        marks.append(point)
    elif without != [point] and not 0xAC00 <= point < 0xD7A4:   # Hangul is computed
        bare[point] = without
    small = [ord(c) for c in lowered.normalize_str(char)]
    if small != [point]:
        lower[point] = small
assert [c for c in lower if len(lower[c]) > 1] == [0x130] and lower[0x130] == [0x69, 0x307]   # in words.c
assert max(map(len, bare.values())) <= 3

tables = [
    ("lm_bert_removed", "struct lm_bert_range", ranges(removed)),
    ("lm_bert_han", "struct lm_bert_range", ranges(han)),
    ("lm_bert_marks", "struct lm_bert_range", ranges(marks)),
    ("lm_bert_punctuation", "struct lm_bert_range", ranges(punctuation)),
    ("lm_bert_lower", "struct lm_bert_lower", lower_runs({c: t[0] for c, t in lower.items() if c != 0x130})),
    ("lm_bert_bare", "struct lm_bert_bare", [[c, to] for c, to in sorted(bare.items())]),
]
with open(sys.argv[1], "w") as out:
    out.write(f"/* Made by gen_bert.py from tokenizers {tokenizers.__version__}; do not edit. */\n"
              '#include "token/bert_tables.h"\n\n// clang-format off\n')
    for name, kind, items in tables:
        out.write(rows(name, kind, items))
        out.write(f"const size_t {name}_count = {len(items)};\n\n")
    out.write("// clang-format on\n")

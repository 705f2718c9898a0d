"""check_tokenizer_characters.py LOOM WORK [NAME...|all]: every character in every component that asks what it is.

The 1,112,064 characters, each between two letters, go through the normalisers, the pre-tokenisers and the sets of
patterns of tokenizers and of loom.  What comes out are the tokens of a vocabulary, so that equal ids are equal pieces:
WordLevel for a chain of components, byte-level BPE that ignores merges for what stands before ByteLevel.  Without a
NAME some sets are asked, with "all" all of them.
"""
import json
import os
import subprocess
import sys

from common import need, verdict

tokenizers, = need("tokenizers")
from tokenizers import Tokenizer

program, work, *names = sys.argv[1:]
os.makedirs(work, exist_ok=True)
CHUNK = 256   # characters of a text
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000]
CATEGORIES = ("L Lu Ll Lt Lm Lo M Mn Me Mc N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Cn Co "
              "Han Hiragana Katakana Hangul Latin Greek Cyrillic Arabic Hebrew Thai Devanagari Common Inherited").split()
POSIX = "alpha alnum digit xdigit upper lower punct space blank cntrl graph print word ascii".split()
FEW = ["\\p{alpha}", "\\p{L}", "[[:punct:]]", "\\w", "(?i:k)", "[^\\s\\p{L}\\p{N}]"]
SETS = [f"\\p{{{c}}}" for c in CATEGORIES + POSIX] + [f"[[:{c}:]]" for c in POSIX] + [
    "\\s", "\\w", "\\d", "\\h", ".", "[\\w]", "[\\s]", "(?i:k)", "(?i:[a-z])", "(?i:\u00e5)", "[^\\s\\p{L}\\p{N}]"]

visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
hidden = [b for b in range(256) if b not in visible]
CHAR_OF = {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
WHOLE = {"type": "FixedLength", "length": 16}


def spelt(piece):
    return "".join(CHAR_OF[b] for b in piece.encode())


def file_of(normalizer, pre_tokenizer, model, decoder=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder, "model": model}


def chain_file(normalizer, cut, vocab):
    return file_of(normalizer, cut, {"type": "WordLevel", "vocab": vocab, "unk_token": "[U]"})


def bytes_file(_, cut, vocab):
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "fuse_unk": False,
             "end_of_word_suffix": None, "byte_fallback": False, "ignore_merges": True, "vocab": vocab, "merges": []}
    return file_of(None, {"type": "Sequence", "pretokenizers": [cut, LEVEL]}, model, LEVEL)


def pieces_of(normalizer, cut, text):
    if normalizer:
        text = normalizer.normalize_str(text)
    return [piece for piece, _ in cut.pre_tokenize_str(text)]


def differences(name, way, normalizer, cut, texts):
    """The texts that loom takes apart in another way; None: it does not know the component."""
    base = Tokenizer.from_str(json.dumps(chain_file(normalizer, cut, {"[U]": 0})))
    pieces = [pieces_of(base.normalizer, base.pre_tokenizer, text) for text in texts]
    spell, vocab = (str, {"[U]": 0}) if way is chain_file else (spelt, {CHAR_OF[b]: b for b in range(256)})
    for piece in (p for one in pieces for p in one):
        vocab.setdefault(spell(piece), len(vocab))
    path = f"{work}/characters.json"
    with open(path, "w") as file:
        json.dump(way(normalizer, cut, vocab), file)
    done = subprocess.run([program, "tokenizer", "encode", f"--tokenizer={path}", "--lines", "--quiet"], text=True,
                          capture_output=True, input="".join(json.dumps(t) + "\n" for t in texts))
    if done.returncode:
        print(f"  refused: {name}: {done.stderr.strip()[-150:]}", file=sys.stderr)
        return None
    lines = done.stdout.split("\n")[:-1]
    return [text for text, one, line in zip(texts, pieces, lines, strict=True)
            if line != " ".join(str(vocab[spell(p)]) for p in one)]


def components():
    for kind in ("Lowercase", "StripAccents", "Nmt", "NFC", "NFD", "NFKC", "NFKD", "ByteLevel"):
        yield kind, chain_file, {"type": kind}, WHOLE
    for cased in (True, False):
        bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                "lowercase": not cased}
        yield f"BertNormalizer cased={cased}", chain_file, bert, WHOLE
    digits, punctuation = {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Isolated"}
    for cut in (digits, punctuation):
        yield cut["type"], bytes_file, None, cut
    level = LEVEL | {"use_regex": True}
    others = [{"type": kind} for kind in ("Whitespace", "WhitespaceSplit", "UnicodeScripts", "BertPreTokenizer")]
    space = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True}
    for cut in [digits, punctuation, level, space, *others]:
        yield cut["type"], chain_file, None, cut
    for pattern in SETS if names else FEW:
        cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        yield pattern, bytes_file, None, cut


texts = ["a" + "a".join(CHARACTERS[i:i + CHUNK]) + "a" for i in range(0, len(CHARACTERS), CHUNK)]
wrong, refused, compared = [], [], 0
for name, way, normalizer, cut in components():
    if names not in ([], ["all"]) and name not in names:
        continue
    other = differences(name, way, normalizer, cut, texts)
    compared += other is not None
    if other is None:
        refused.append(name)
    elif other:   # which of them
        single = [f"a{c}a" for text in other for c in text[1::2]]
        found = differences(name, way, normalizer, cut, single) or other
        wrong.append(f"{name}, {way.__name__}: {len(found)}, "
                     + " ".join(f"{ord(t[1]):04X}" for t in found[:int(os.environ.get('LOOM_SHOW', '20'))]))
for line in wrong:
    print(line, file=sys.stderr)
verdict(not wrong and compared > 0, f"{compared} components and sets, {len(CHARACTERS)} characters each: {len(wrong)} differ"
        + (f"; refused are {' '.join(refused)}" if refused else ""))

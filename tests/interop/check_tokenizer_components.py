"""check_tokenizer_components.py LOOM WORK [COUNT [SEED]]: random tokenizer.json files mean what tokenizers makes of them.

Each is put together of random components with random options around a small vocabulary trained here.  Ids of random
texts and the ranges they stand for must be equal, and so must the text that comes back, but where bytes are no UTF-8.
A quarter of the files is compiled first.  Files that
tokenizers refuses, or on which it panics, are left out; one that loom refuses counts as wrong unless its sentence is
among those below.
"""
import base64
import json
import os
import random
import subprocess
import sys

from common import field, need, verdict
from hard_texts import BLANKS, CONTRACTIONS, DIGITS, WORDS, hard_texts

tokenizers, = need("tokenizers")
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

program, work, *rest = sys.argv[1:]
count = int(rest[0]) if rest else 300
rng = random.Random(int(rest[1]) if len(rest) > 1 else 1)
os.makedirs(work, exist_ok=True)
BLANK = "\u2581"
REFUSED = ("matches where there is nothing", "that another component has added", "is not a token of the vocabulary")   # patterns, options by chance

english = ("the quick brown fox jumps over the lazy dog and runs away from it, don't you see? It's 12345 o'clock! "
           "Caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u0130stanbul STRASSE stra\u00dfe \u4e2d\u6587\u5b57\u7b26 \u304b\u306a\u30ab\u30bf\u30ab\u30ca\u30fc "
           "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \ud55c\uad6d\uc5b4 hello world lower lowest newer wider").split()
hard = hard_texts(400, with_special=False)


def random_text():
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(hard)
    parts = []
    for _ in range(rng.randint(0, 10)):
        pool = rng.choice((english, english, english, BLANKS, CONTRACTIONS, DIGITS, WORDS, SPELT, [" ", " ", "  ", BLANK, ".", ",,", "\0", "-"]))
        parts.append(rng.choice(pool))
        if rng.random() < 0.5:
            parts.append(" ")
    return "".join(parts)


ADDED = ["<x>", "[MASK]", "low", "new er", "</s>", "fox", "x y", " ", "  ", " the", "\t\n"]
SPELT = ["<x>", " <x> ", "<x>   ", "[MASK]  the", "low \t\n", "[MASK]", "[mask]", "lowfox", "new er", "</s>", "<unk>", "<0x41>"]
corpus = [" ".join(rng.choices(english, k=8)) for _ in range(400)] + hard


def trained(model, trainer, pre=None, normalizer=None):
    t = Tokenizer(model)
    if pre:
        t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    t.train_from_iterator(corpus[:400] + corpus[400:440] if isinstance(model, models.Unigram) else corpus, trainer)
    return json.loads(t.to_str())["model"]


def make_models():
    special = ["<unk>", "</s>"]
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    quiet = dict(show_progress=False)
    b = dict(vocab_size=600, **quiet)
    yield trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(special_tokens=special, limit_alphabet=120, **b), pre_tokenizers.Metaspace())
    yield trained(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
                  trainers.BpeTrainer(special_tokens=special + bytes_, limit_alphabet=60, vocab_size=800, **quiet), pre_tokenizers.Metaspace(split=False))
    yield trained(models.BPE(), trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, **b), pre_tokenizers.ByteLevel())
    yield trained(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
                  trainers.BpeTrainer(special_tokens=special, end_of_word_suffix="</w>", limit_alphabet=150, **b), pre_tokenizers.BertPreTokenizer())
    yield trained(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"),
                  trainers.BpeTrainer(special_tokens=special, continuing_subword_prefix="##", limit_alphabet=150, **b), pre_tokenizers.BertPreTokenizer())
    yield trained(models.Unigram(), trainers.UnigramTrainer(special_tokens=special, unk_token="<unk>", **b), pre_tokenizers.Metaspace())
    yield trained(models.Unigram(), trainers.UnigramTrainer(special_tokens=special, unk_token="<unk>", **b), pre_tokenizers.ByteLevel())
    fallback = trained(models.Unigram(), trainers.UnigramTrainer(special_tokens=special, unk_token="<unk>", **b), pre_tokenizers.Metaspace(split=False))
    fallback["vocab"] += [[t, -20.0] for t in bytes_]
    fallback["byte_fallback"] = True
    yield fallback
    yield trained(models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(special_tokens=special, limit_alphabet=150, **b), pre_tokenizers.BertPreTokenizer())
    yield trained(models.WordPiece(unk_token="<unk>", continuing_subword_prefix=""), trainers.WordPieceTrainer(special_tokens=special, continuing_subword_prefix="", **b), pre_tokenizers.Whitespace())
    yield trained(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(special_tokens=special, vocab_size=600, **quiet), pre_tokenizers.WhitespaceSplit())


PATTERNS = ["\\s+", "[a-z]+", "\\d", " ", "o", "\\p{L}+|\\s", "[^\\s]+", "\\w+", "th", "(?i:the|fox)", "'s|'t| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
            "\\p{N}{1,3}", "[\\p{P}\\p{S}]", "[\u4e00-\u9fa5]+", "e(?=r)", "\\p{Lu}", " {2,}", ".", "\\S", "\\W"]
TEXTS = ["o", "th", " ", "  ", BLANK, "\u00e9", "the", "\n", "."]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def pattern():
    return {"Regex": rng.choice(PATTERNS)} if rng.random() < 0.6 else {"String": rng.choice(TEXTS)}


def flip():
    return rng.random() < 0.5


def charsmap():
    path = os.environ.get("LOOM_CHARSMAP") or f"{work}/charsmap"
    if not os.path.exists(path):
        sentencepiece, = need("sentencepiece")
        with open(f"{work}/lines.txt", "w") as file:
            file.write("\n".join(" ".join(rng.choices(english, k=8)) for _ in range(400)))
        sentencepiece.SentencePieceTrainer.train(input=f"{work}/lines.txt", model_prefix=f"{work}/map", vocab_size=120, minloglevel=2,
                                                 hard_vocab_limit=False, normalization_rule_name="nmt_nfkc_cf" if flip() else "nmt_nfkc")
        with open(f"{work}/map.model", "rb") as file:
            model = file.read()
        with open(path, "wb") as file:
            file.write(field(field(model, 3), 2))
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()


MAP = charsmap()
NORMAL = {
    "Lowercase": dict, "StripAccents": dict, "Nmt": dict, "NFC": dict, "NFD": dict, "NFKC": dict, "NFKD": dict, "ByteLevel": dict,
    "Strip": lambda: {"strip_left": flip(), "strip_right": flip()},
    "BertNormalizer": lambda: {"clean_text": flip(), "handle_chinese_chars": flip(), "strip_accents": rng.choice([None, True, False]), "lowercase": flip()},
    "Prepend": lambda: {"prepend": rng.choice([BLANK, " ", "ab"])},   # behind an empty one Strip of the peer doubles a character
    "Replace": lambda: {"pattern": pattern(), "content": rng.choice(["", " ", BLANK, "o", "xyz"])},
    "Precompiled": lambda: {"precompiled_charsmap": MAP},
}
PRE = {
    "BertPreTokenizer": dict, "Whitespace": dict, "WhitespaceSplit": dict, "UnicodeScripts": dict,
    "ByteLevel": lambda: {"add_prefix_space": flip(), "trim_offsets": flip(), "use_regex": flip()},
    "CharDelimiterSplit": lambda: {"delimiter": rng.choice(["o", " ", BLANK, "\u00e9"])},
    "Metaspace": lambda: {"replacement": rng.choice([BLANK, BLANK, "_"]), "prepend_scheme": rng.choice(["always", "never", "first"]), "split": flip()},
    "Punctuation": lambda: {"behavior": rng.choice(BEHAVIORS)},
    "Digits": lambda: {"individual_digits": flip()},
    "Split": lambda: {"pattern": pattern(), "behavior": rng.choice(BEHAVIORS), "invert": flip()},
    "FixedLength": lambda: {"length": rng.randint(1, 6)},
}
DECODE = {
    "ByteLevel": lambda: {"add_prefix_space": flip(), "trim_offsets": flip(), "use_regex": flip()},
    "Fuse": dict, "ByteFallback": dict,
    "WordPiece": lambda: {"prefix": rng.choice(["##", ""]), "cleanup": flip()},
    "Metaspace": lambda: {"replacement": BLANK, "prepend_scheme": rng.choice(["always", "never", "first"]), "split": flip()},
    "BPEDecoder": lambda: {"suffix": "</w>"},
    "CTC": lambda: {"pad_token": "<unk>", "word_delimiter_token": BLANK, "cleanup": flip()},
    "Replace": lambda: {"pattern": pattern(), "content": rng.choice(["", " ", "o"])},
    "Strip": lambda: {"content": rng.choice([" ", BLANK, "o"]), "start": rng.randint(0, 2), "stop": rng.randint(0, 1)},
}


def components(table, key, most):
    names = [rng.choice(list(table)) for _ in range(rng.choice([0, 1, 1, 2, most]))]
    made = [{"type": name} | table[name]() for name in names]
    if len(made) == 1 and flip():
        return made[0]
    return {"type": "Sequence", key: made} if made else None


def added(model):
    vocab = {t: i for i, (t, _) in enumerate(model["vocab"])} if model["type"] == "Unigram" else model["vocab"]
    rows = [("<unk>", vocab["<unk>"]), ("</s>", vocab["</s>"])]
    size = max(vocab.values()) + 1
    for text in rng.sample(ADDED, rng.randint(0, 4)):
        if text not in vocab:
            rows.append((text, size))
            size += 1
    def flag(text, name):   # loom's models do not make special tokens of text that is not one
        return rng.random() < 0.25 and (name not in ("single_word", "normalized") or text[0] not in "<[")
    return [{"id": i, "content": text, "special": text[0] in "<[" and (text in ("<unk>", "</s>") or flip())} |
            {name: flag(text, name) for name in ("single_word", "lstrip", "rstrip", "normalized")} for text, i in sorted(rows, key=lambda r: r[1])]


def template(tokens):
    used = rng.sample(tokens, min(len(tokens), rng.randint(1, 3)))

    def around(sequences):
        items = [{"Sequence": {"id": s, "type_id": i}} for i, s in enumerate(sequences)]
        for _ in range(rng.randint(0, 3)):
            items.insert(rng.randint(0, len(items)), {"SpecialToken": {"id": rng.choice(used)[0], "type_id": 0}})
        return items

    return {"type": "TemplateProcessing", "single": around("A"), "pair": around("AB"),
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in used}}


def post_processor(added_tokens):
    """One or several, whose tokens are of the file."""
    tokens = [(t["content"], t["id"]) for t in added_tokens]
    table = {
        "ByteLevel": PRE["ByteLevel"], "TemplateProcessing": lambda: template(tokens),
        "BertProcessing": lambda: {"sep": rng.choice(tokens), "cls": rng.choice(tokens)},
        "RobertaProcessing": lambda: {"sep": rng.choice(tokens), "cls": rng.choice(tokens), "trim_offsets": flip(), "add_prefix_space": flip()},
    }
    made = components(table, "processors", 3)
    several = made and sum(p["type"] != "ByteLevel" for p in made.get("processors", [])) > 1   # loom refuses most of these
    return post_processor(added_tokens) if several and rng.random() < 0.9 else made


def adds_before_trimming(processor):
    """Then the peer's ranges without special tokens are others than with them: loom has the latter."""
    kinds = [p["type"] for p in (processor or {}).get("processors", [])]
    adders = [i for i, kind in enumerate(kinds) if kind in ("BertProcessing", "RobertaProcessing")]
    return bool(adders) and "ByteLevel" in kinds[adders[0]:]


def configuration(all_models):
    model = dict(rng.choice(all_models))
    if model["type"] == "BPE":
        model["ignore_merges"] = rng.random() < 0.2
        model["fuse_unk"] = flip()
    normalizer = components(NORMAL, "normalizers", 3)
    pre_tokenizer = components(PRE, "pretokenizers", 3)
    if normalizer:   # then several pieces may start where the text does
        pre_tokenizer = json.loads(json.dumps(pre_tokenizer).replace('"first"', '"always"'))
    tokens = added(model)
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor(tokens), "decoder": components(DECODE, "decoders", 4), "model": model}


def peer_of(config):
    try:
        peer = Tokenizer.from_str(json.dumps(config))
    except BaseException:   # a panic is no Exception
        return None
    tokens = config["added_tokens"]   # of two with the same normal form it is chance which one the peer finds
    normal = [peer.normalizer.normalize_str(t["content"]) if peer.normalizer and t["normalized"] else t["content"] for t in tokens]
    return None if len(set(normal)) < len(normal) else peer


def in_bytes(text, offsets):
    """As loom counts; where the peer gives places behind the text, bytes already, the end of the text."""
    at = [0]
    for character in text:
        at.append(at[-1] + len(character.encode()))
    return [[at[min(start, len(text))], at[min(end, len(text))]] for start, end in offsets]


def run(action, path, lines, *flags):
    done = subprocess.run([program, "tokenizer", action, f"--tokenizer={path}", "--lines", "--allow-special", "--quiet", *flags],
                          capture_output=True, encoding="utf-8", errors="surrogateescape", input="".join(line + "\n" for line in lines))
    return done.returncode, done.stdout.split("\n")[:-1], done.stderr.strip()


all_models = list(make_models())
wrong, compared, refused, left_out = [], 0, 0, 0
path = f"{work}/tokenizer.json"
stderr = os.dup(2)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)   # panics of the peer
for number in range(count):
    config = configuration(all_models)
    peer = peer_of(config)
    if not peer:
        left_out += 1
        continue
    texts, around = [random_text() for _ in range(20)], flip() or adds_before_trimming(config["post_processor"])
    try:
        encodings = [peer.encode(text, add_special_tokens=around) for text in texts]
        ids = [e.ids for e in encodings]
        spans = [in_bytes(text, e.offsets) for text, e in zip(texts, encodings)]
        backs = [peer.decode(i, skip_special_tokens=False) for i in ids]
    except BaseException:
        left_out += 1
        continue
    with open(path, "w") as file:
        json.dump(config, file)
    used, compiled = path, f"{work}/tokenizer.lmtok"
    if number % 4 == 0 and not subprocess.run([program, "tokenizer", "compile", path, compiled, "--quiet"], capture_output=True).returncode:
        used = compiled
    status, lines, said = run("encode", used, map(json.dumps, texts), "--offsets", *["--with-specials"] * around)
    brief = {k: v for k, v in config.items() if k in ("normalizer", "pre_tokenizer", "post_processor", "decoder")} | {"specials": around, "model": config["model"]["type"], "n": number}
    if status:
        refused += 1
        if not any(words in said for words in REFUSED):
            wrong.append(f"refused: {said} {json.dumps(brief)[:300]}")
        continue
    own = [json.loads(line) for line in lines]
    different = [(t, a, b["ids"]) for t, a, b in zip(texts, ids, own, strict=True) if a != b["ids"]]
    moved = [(t, i, a, b["offsets"]) for t, i, a, b in zip(texts, ids, spans, own) if a != b["offsets"]]
    status, lines, said = run("decode", used, [" ".join(map(str, i)) for i in ids])
    if different:
        os.replace(path, f"{work}/different-{number}.json")
        t, a, b = different[0]
        wrong.append(f"ids of {t!r}: {[peer.id_to_token(i) for i in a]} and {[peer.id_to_token(i) for i in b]} {json.dumps(brief).replace(MAP, '..')}")
    elif moved:
        os.replace(path, f"{work}/moved-{number}.json")
        t, i, a, b = moved[0]
        wrong.append(f"ranges of {t!r}, {[peer.id_to_token(x) for x in i]}: {a} and {b} {json.dumps(brief).replace(MAP, '..')}")
    elif status:
        wrong.append(f"decode: {said}")
    else:
        for t, i, a, b in zip(texts, ids, backs, map(json.loads, lines), strict=True):
            if i and "\ufffd" not in a and a != b:
                wrong.append(f"text of {[peer.id_to_token(x) for x in i]}: {a!r} and {b!r} {json.dumps(brief).replace(MAP, '..')}")
                break
    compared += 1
    if len(wrong) > 40:
        break
os.dup2(stderr, 2)
for line in wrong[:int(os.environ.get("LOOM_SHOW", "3"))]:
    print(line, file=sys.stderr)
verdict(not wrong, f"{compared} random tokenizer.json of 20 texts each as tokenizers {tokenizers.__version__} has them, {refused} refused, "
        f"{left_out} that it does not take, {len(wrong)} different")

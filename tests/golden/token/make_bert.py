"""Writes bert.* of this folder with Hugging Face's tokenizers (0.23.3), from the 46 texts of llama.cpp's vocabulary tests
(MIT), read from the JSON file named on the command line.  (The trainer numbers tokens differently in every run.)

    python3 make_bert.py texts.json

bert.tokenizer.json  a small WordPiece tokenizer, trained on those texts without lower-casing
bert.vectors.json    texts, their ids with [CLS] and [SEP] and what these decode to: "strings" as the file says,
                     "<lowercase>-<strip_accents>" with these options of its normaliser
bert.sha256.json     for the same options: SHA-256 over all code points c of "a" c "b" normalised, each with a line
                     end; "cut": of "a" c "b" cut into words, each word with a blank, each text with a line end
"""
import hashlib
import json
import random
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

texts = [s["text"] for s in json.load(open(sys.argv[1]))["strings"]]
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
rng = random.Random(2)
hard = ["[CLS] a[MASK]b [UNK", "x" * 101, "a" * 100, "caf\u00e9 \u0130stanbul \u01c5 \u1e9e \uac01\u4e2d\u3007", "a\u00adb\u200bc\ufffdd\u0000e",
        "a\u0085b\u00a0c\u3000d\u2028e", "don't we'll, it's! 's 'm .5", "\u0300\u0301x\u0344", "##a # #", "\u2126\u212b\u00b5\ufb01"]


def random_text():
    kinds = [lambda: rng.choice("abcdeHWlorEI  .,'!"), lambda: chr(rng.randrange(0xa0, 0x250)),
             lambda: chr(rng.randrange(0x250, 0x2000)), lambda: chr(rng.randrange(0x2000, 0x3200)),
             lambda: chr(rng.choice([0x4e00, 0xac00, 0xf900, 0x1d400, 0x10400, 0x2f800]) + rng.randrange(0x80))]
    return "".join(rng.choices(kinds, [8, 3, 2, 2, 1])[0]() for _ in range(rng.randrange(40)))


def write(name, content):
    with open(name, "w") as f:
        json.dump(content, f, separators=(",", ":"))
        f.write("\n")


t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
t.normalizer = normalizers.BertNormalizer(lowercase=False)
t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
t.decoder = decoders.WordPiece()
t.train_from_iterator(texts * 2 + [x.lower() for x in texts], trainers.WordPieceTrainer(
    vocab_size=420, special_tokens=special, initial_alphabet=list("abcdefghijklmnopqrstuvwxyz"), show_progress=False))
ids = {s: t.token_to_id(s) for s in special}
t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                 special_tokens=[(s, ids[s]) for s in ("[CLS]", "[SEP]")])
content = json.loads(t.to_str())
content["model"]["vocab"] = dict(sorted(content["model"]["vocab"].items(), key=lambda item: item[1]))
write("bert.tokenizer.json", content)

texts += hard + [random_text() for _ in range(30)]
around = [f"a{chr(c)}b" for c in range(0x110000) if not 0xd800 <= c < 0xe000]
vectors, sums = {}, {}
for key, options in {"strings": dict(lowercase=False), "true-null": dict(lowercase=True),
                     "true-false": dict(lowercase=True, strip_accents=False),
                     "false-true": dict(lowercase=False, strip_accents=True)}.items():
    t.normalizer = normalizers.BertNormalizer(**options)
    encoded = [t.encode(x).ids for x in texts]
    vectors[key] = [{"text": x, "ids": i, "decoded": t.decode(i, skip_special_tokens=True)} for x, i in zip(texts, encoded)]
    sums[key] = hashlib.sha256("".join(f"{t.normalizer.normalize_str(x)}\n" for x in around).encode()).hexdigest()
sums["cut"] = hashlib.sha256("".join(
    "".join(f"{word} " for word, _ in t.pre_tokenizer.pre_tokenize_str(x)) + "\n" for x in around).encode()).hexdigest()
write("bert.vectors.json", vectors)
write("bert.sha256.json", sums)

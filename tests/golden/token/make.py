"""Writes the golden files of this folder with Hugging Face's tokenizers (0.23.3) and the 46 texts of llama.cpp's
vocabulary tests (models/ggml-vocab-gpt-2.gguf.inp, MIT), read from the JSON file named on the command line.

    python3 make.py texts.json

<grammar>.tokenizer.json  a small tokenizer trained by Hugging Face on those texts, with its pre-tokeniser
<grammar>.vectors.json    the texts and their ids
several_ways.*            tiny merge lists with several ways to one token, where the order of work shows
"""
import json
import random
import sys

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

texts = [s["text"] for s in json.load(open(sys.argv[1]))["strings"]]
texts += ["caf\u0065\u0301 \u1100\u1161", "don't DON'T it'\u017f we'LL", "a  1\n\n 22  333\t4444", "\u3000\u4e00 \u00a0x"]
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")


def split(numbers):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CL100K % numbers), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
grammars = {
    "gpt2": byte_level,
    "llama3": split(r"\p{N}{1,3}"),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]),
    "qwen2": split(r"\p{N}"),
}


def write(name, content):
    with open(name, "w") as f:
        json.dump(content, f, separators=(",", ":"))
        f.write("\n")


def vectors(tokenizer, strings):
    return {"strings": [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in strings]}


for name, pre in grammars.items():
    t = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    t.pre_tokenizer = pre
    if name == "qwen2":
        t.normalizer = normalizers.NFC()
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts * 2, trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    content = json.loads(t.to_str())
    if name == "gpt2":   # the older notation of merges
        content["model"]["merges"] = [" ".join(m) for m in content["model"]["merges"]]
    write(f"{name}.tokenizer.json", content)
    write(f"{name}.vectors.json", vectors(t, texts))

# Merge lists over a, b, c drawn at random: tokens of up to 4 letters, each reached in as many ways as there are.
rng = random.Random(1)
alphabet = [chr(c) for c in list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))]
alphabet += [chr(256 + i) for i in range(68)]
pieces = sorted({"".join(rng.choice("abc") for _ in range(rng.randint(2, 4))) for _ in range(60)})
vocab = {c: i for i, c in enumerate(["<|endoftext|>"] + alphabet + pieces)}
merges = [(p[:k], p[k:]) for p in pieces for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab]
rng.shuffle(merges)
t = Tokenizer(models.BPE(vocab=vocab, merges=merges))
t.pre_tokenizer = byte_level
t.decoder = decoders.ByteLevel()
t.add_special_tokens(["<|endoftext|>"])
write("several_ways.tokenizer.json", json.loads(t.to_str()))
write("several_ways.vectors.json",
      vectors(t, ["".join(rng.choice("abc") for _ in range(rng.randint(2, 60))) for _ in range(200)]))

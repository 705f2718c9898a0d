"""Writes llama.* and metaspace.* of this folder with sentencepiece (0.2.3) and Hugging Face's tokenizers (0.23.3),
from the 46 texts of llama.cpp's vocabulary tests (MIT), read from the JSON file named on the command line.

    python3 make_llama.py texts.json        (needs protobuf)

llama.parts.json          a small BPE of sentencepiece as the arrays of a GGUF file
llama.vectors.json        texts and the ids that sentencepiece gives them
metaspace.tokenizer.json  the same pieces as newer Llama files have them: Metaspace, added tokens with rstrip; without
                          the byte 0xE4, so that some characters are unknown (Gemma has no 0x09)
metaspace.vectors.json    texts and the ids that tokenizers gives them, special tokens allowed
"""
import json
import random
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

BLANK = "\u2581"
texts = [s["text"] for s in json.load(open(sys.argv[1]))["strings"]]
rng = random.Random(1)
hard = [" a", "a ", "  a  b  ", BLANK, f"{BLANK} a{BLANK}b", "\n", "\u0000x", "\U0001f600\u200d\u4e2d", "aaaaaaaaaaaaaaa",
        "<0x41>", "<s>", "</s> a"]
hard += ["".join(rng.choice(["a", "e", " ", "  ", BLANK, "th", "1", ".", "\u00e9", "\u4e2d"]) for _ in range(30))
         for _ in range(60)]


def write(name, content):
    with open(name, "w") as f:
        json.dump(content, f, separators=(",", ":"))
        f.write("\n")


with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/texts", "w") as f:
        f.write("\n".join(texts) * 2)
    sentencepiece.SentencePieceTrainer.train(
        input=f"{folder}/texts", model_prefix=f"{folder}/m", model_type="bpe", vocab_size=520, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.98,
        allow_whitespace_only_pieces=True, split_digits=True, minloglevel=2)
    model = sentencepiece_model_pb2.ModelProto.FromString(open(f"{folder}/m.model", "rb").read())
    sp = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/m.model")

pieces = [p.piece for p in model.pieces]
ids = {p: i for i, p in enumerate(pieces)}
write("llama.parts.json", {
    "model": "llama", "pre": "default", "tokens": pieces, "types": [p.type for p in model.pieces],
    "scores": [p.score for p in model.pieces], "bos_id": 1, "eos_id": 2, "unk_id": 0, "add_bos": True,
    "add_eos": False, "add_space_prefix": True, "remove_extra_blanks": False})
write("llama.vectors.json", {"strings": [{"text": t, "ids": sp.encode(t)} for t in texts + hard]})

merges = []
for p in sorted(model.pieces, key=lambda p: -p.score):
    if p.type == 1:
        merges += sorted(((p.piece[:k], p.piece[k:]) for k in range(1, len(p.piece))
                          if p.piece[:k] in ids and p.piece[k:] in ids), key=lambda m: (ids[m[0]], ids[m[1]]))
ids["<gone>"] = ids.pop("<0xE4>")
t = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
t.pre_tokenizer = pre_tokenizers.Metaspace(replacement=BLANK, prepend_scheme="first", split=False)
t.decoder = decoders.Sequence([decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse(),
                               decoders.Strip(" ", 1, 0)])
t.add_special_tokens(["<unk>", "<s>", "</s>", AddedToken("<|user|>", rstrip=True, normalized=False),
                      AddedToken("<mask>", lstrip=True, normalized=False)])
t.add_tokens([AddedToken("the end", normalized=True)])
write("metaspace.tokenizer.json", json.loads(t.to_str()))
hard += [f"{a}{b}{c}" for a in ("", "x ", " \n") for b in ("<s>", "<|user|>", "<mask>", "the end") for c in ("", " y", "y")]
hard += ["\u4e2d\u4e2d\u00f8x", "\u00f8\u4e2d\u00f8\u4e2d x\u4e2d", "\u4e2d", "x\u4e2d \u4e2d\U0001f600\U0001f600 y"]
write("metaspace.vectors.json",
      {"strings": [{"text": x, "ids": t.encode(x, add_special_tokens=False).ids} for x in texts + hard]})

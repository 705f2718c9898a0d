"""make_chains.py: t5, albert and clip.tokenizer.json, small tokenizers of those kinds, by tokenizers 0.23.3 and, for the map
of characters, sentencepiece 0.2.3.

    python3 tests/golden/token/make_chains.py; python3 tests/golden/token/make_offsets.py
"""
import json
import os
import sys
import tempfile

import sentencepiece
import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../../interop")
from common import field
CORPUS = ["Hello, world: the na\u00efve caf\u00e9 of \u00c5ngstr\u00f6m is the world's caf\u00e9", "two blanks and it's the end of 'the' world",
          "hello hello world lower lowest newer wider the the of of is and", "stra\u00dfe \u4e2d\u6587\u8a9e \u4e2d\u6587 x y z a b c d e f g h i j k l m n o p q r s t u v w",
          "ABC abc 1234567 1 2 3 4 5 6 7 8 9 0 ! ? . , ; : \" ' ( )"] * 4
# What the map of the t5 tokenizer changes: ligatures, wide letters, marks, a character that falls out.
RULES = {"\ufb01": "fi", "\uff21": "A", "\u212b": "\u00c5", "e\u0301": "\u00e9", "\u3000": " ", "\t": " ", "\n": " ", "\u200b": "", "\u00bd": "1/2",
         "\u0958": "\u0915\u093c", "o\u0308": "\u00f6"}


def charsmap():
    """The map in the bytes that sentencepiece makes of the rules."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/rules.tsv", "w", encoding="utf-8") as file:
            for old, new in RULES.items():
                print(*(" ".join(f"{ord(c):X}" for c in text) for text in (old, new)), sep="\t", file=file)
        with open(f"{folder}/corpus.txt", "w", encoding="utf-8") as file:
            file.write("\n".join(CORPUS))
        sentencepiece.SentencePieceTrainer.train(input=f"{folder}/corpus.txt", model_prefix=f"{folder}/map", vocab_size=100, minloglevel=2,
                                                 hard_vocab_limit=False, normalization_rule_tsv=f"{folder}/rules.tsv")
        with open(f"{folder}/map.model", "rb") as file:
            return field(field(file.read(), 3), 2)   # normalizer_spec, precompiled_charsmap


def unigram(normalizer, pre_tokenizer, special):
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, pre_tokenizer, decoders.Metaspace()
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=160, special_tokens=special, unk_token="<unk>", show_progress=False))
    return t


def main():
    assert tokenizers.__version__ == "0.23.3"
    plain = pre_tokenizers.Metaspace()
    t5 = unigram(normalizers.Sequence([normalizers.Precompiled(charsmap()), normalizers.Replace(Regex(" {2,}"), " ")]), plain, ["<pad>", "</s>", "<unk>"])
    t5.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    albert = unigram(normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
                                           normalizers.Lowercase()]), pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), plain]), ["<pad>", "<unk>", "[CLS]", "[SEP]"])
    albert.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    clip = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    clip.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    clip.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    clip.decoder = decoders.ByteLevel()
    clip.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=600, end_of_word_suffix="</w>", initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                         special_tokens=["<|startoftext|>", "<|endoftext|>"], show_progress=False))
    clip.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False)
    for name, t in (("t5", t5), ("albert", albert), ("clip", clip)):
        with open(f"{HERE}/{name}.tokenizer.json", "w", encoding="utf-8") as file:
            json.dump(json.loads(t.to_str()), file, separators=(",", ":"))
            file.write("\n")


main()

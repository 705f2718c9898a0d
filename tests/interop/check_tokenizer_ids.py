"""check_tokenizer_ids.py LOOM DOCUMENTS TOKENIZER...: tokenizers and loom turn texts into the same ids.

1,000 paragraphs and 2,000 hard texts, with special tokens in the text and without, for each tokenizer (a folder);
and the ids turn back into the text (after the normalisation that the tokenizer asks for).
"""
import json
import sys
import unicodedata

from common import ids_of, loom, need, paragraphs, verdict
from hard_texts import hard_texts

tokenizers, = need("tokenizers")


def young_marks(text):
    """Has combining marks that came after Unicode 3.2.  tokenizers normalises by tables of Unicode 9, so it leaves
    some of them in another order than the current NFC, which is loom's."""
    return any(unicodedata.combining(c) and unicodedata.ucd_3_2_0.category(c) == "Cn" for c in text)


class Comparison:
    """One tokenizer in both programs."""

    def __init__(self, program, folder):
        self.program, self.flags = program, [f"--tokenizer={folder}", "--lines"]
        self.theirs = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
        self.count, self.wrong_ids, self.wrong_text = 0, [], []

    def add(self, texts, special):
        normal = str
        if self.theirs.normalizer:
            normal = self.theirs.normalizer.normalize_str
            texts = [text for text in texts if not young_marks(text)]
        encoded = loom(self.program, "tokenizer", "encode", *self.flags, *["--allow-special"] * special,
                       lines=map(json.dumps, texts))
        decoded = loom(self.program, "tokenizer", "decode", *self.flags, lines=encoded)
        self.theirs.encode_special_tokens = not special
        for text, ids, back in zip(texts, ids_of(encoded), decoded, strict=True):
            if ids != self.theirs.encode(text, add_special_tokens=False).ids:
                self.wrong_ids.append(text)
            if json.loads(back) != normal(text):
                self.wrong_text.append(text)
        self.count += len(texts)


def main():
    program, documents, *folders = sys.argv[1:]
    real = paragraphs(documents, 1000)
    comparisons = [Comparison(program, folder) for folder in folders]
    for comparison in comparisons:
        comparison.add(real, special=False)
        comparison.add(hard_texts(1000, with_special=False), special=False)
        comparison.add(hard_texts(1000, with_special=True), special=True)
        comparison.add(hard_texts(1000, with_special=True), special=False)
    wrong_ids, wrong_text = (sum((getattr(c, name) for c in comparisons), []) for name in ("wrong_ids", "wrong_text"))
    first = "".join(f"; the first: {wrong[0][:100]!r}" for wrong in (wrong_ids, wrong_text) if wrong)
    verdict(not wrong_ids and not wrong_text,
            f"{len(folders)} tokenizers, {len(real)} real paragraphs, {sum(c.count for c in comparisons)} texts in "
            f"all: {len(wrong_ids)} with other ids, {len(wrong_text)} not decoded back{first}")


main()

"""check_tokenizer_mistral.py LOOM DOCUMENTS: Mistral's own files, as mistral-common carries and reads them.

tekken.json by its Tekkenizer, tokenizer.model of all versions by sentencepiece: ids of 500 paragraphs and 4,000 hard
texts, and the number of tokens.
"""
import json
import pathlib
import sys
import warnings

from common import ids_of, loom, need, paragraphs, verdict
from hard_texts import hard_texts

mistral_common, sentencepiece, _ = need("mistral_common", "sentencepiece", "tiktoken")
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

program, documents = sys.argv[1:]
warnings.simplefilter("ignore")   # of files without a list of special tokens
texts = paragraphs(documents, 500) + hard_texts(4000, with_special=True) + ["", " ", "a" * 3000, "<s>[INST] x [/INST]</s>"]
folder = pathlib.Path(mistral_common.__file__).parent / "data"
wrong, files = [], 0


def tekken(path):
    peer = Tekkenizer.from_file(path)
    return peer.n_words, lambda text: peer.encode(text, bos=False, eos=False)


def pieces(path):
    peer = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return peer.vocab_size(), peer.encode


for path in sorted(folder.iterdir()):
    kind = tekken if path.name.startswith("tekken") else pieces if ".model" in path.name else None
    if not kind or path.suffix == ".gz":
        continue
    size, encode = kind(path)
    facts = json.loads(loom(program, "tokenizer", "inspect", f"--tokenizer={path}", "--json")[-1])
    lines = loom(program, "tokenizer", "encode", "--lines", f"--tokenizer={path}", lines=map(json.dumps, texts))
    files += 1
    if facts["vocab_size"] != size:
        wrong.append(f"{path.name}: {facts} instead of {size} tokens")
    wrong += [f"{path.name}: {text[:60]!r}: {ids} instead of {encode(text)}"
              for text, ids in zip(texts, ids_of(lines), strict=True) if ids != encode(text)]
print("\n".join(wrong[:5]), file=sys.stderr)
verdict(files > 0 and not wrong, f"{files} files of mistral-common, {len(texts)} texts each: {len(wrong)} differ")

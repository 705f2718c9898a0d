"""check_embeddings.py LOOM ENCODER: sentence vectors of a BERT encoder (a folder) against transformers: mean over the
tokens of the last hidden states, scaled to length 1.  200 sentences, from one word to more than the encoder takes."""
import json
import pathlib
import random
import sys

from common import loom, need, verdict
from hard_texts import hard_texts

numpy, torch, transformers = need("numpy", "torch", "transformers")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)   # its threads spin: beside other programs, two are slower than one

TOLERANCE = 1e-5   # of each number of a vector of length 1
WORDS = ("the quick brown fox invoice bank transfer Tuesday naïve café Zürich patient blood pressure 120/80 court "
         "decision 2023-04-01 engine vacuum table index 3.14 don't state-of-the-art 中文 hello@example.org "
         "antidisestablishmentarianism a I of to in and or not ? ! , .").split(" ")


def sentences():
    rng = random.Random(6)
    made = [" ".join(rng.choices(WORDS, k=length)) for length in [1, 2, 3, 60, 120, 400, *(
        rng.randint(4, 40) for _ in range(144))]]
    hard = [" ".join(text.split()) for text in hard_texts(100, with_special=False)]
    return (made + [text for text in hard if text and text.isprintable()] + made[::-1])[:200]


def reference(folder, texts, tokens_max):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    vectors = []
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=tokens_max)
        with torch.no_grad():
            mean = model(**tokens).last_hidden_state[0].mean(0)
        vectors.append((mean / mean.norm()).numpy())
    return numpy.stack(vectors)


def main():
    program, folder = sys.argv[1:]
    texts = sentences()
    ours = numpy.array([[float(word) for word in line.split()] for line in loom(program, "embed", folder, lines=texts)])
    limits = json.loads((pathlib.Path(folder) / "sentence_bert_config.json").read_text(encoding="utf-8"))
    theirs = reference(folder, texts, limits["max_seq_length"])
    if ours.shape != theirs.shape:
        verdict(False, f"vectors of shape {ours.shape}, not {theirs.shape}")
    differences = numpy.abs(ours - theirs).max(1)
    worst = int(differences.argmax())
    verdict(differences[worst] <= TOLERANCE,
            f"{len(texts)} sentences, vectors of {theirs.shape[1]}: numbers differ by at most {differences[worst]:.1e} "
            f"(allowed {TOLERANCE:.0e}; {texts[worst][:60]!r}), cosine at least {(ours * theirs).sum(1).min():.7f}")


main()

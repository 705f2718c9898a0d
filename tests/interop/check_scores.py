"""check_scores.py LOOM WORK: sacrebleu and rouge_score give what `loom score` gives, on random pairs of sentences."""
import random
import sys

from common import loom_json, need, verdict

sacrebleu, rouge_scorer = need("sacrebleu", "rouge_score.rouge_scorer")

PAIRS = 200
TOLERANCE = 1e-6   # of a score between 0 and 100
WORDS = ("the cat's a table of index, drop (CREATE) isn't 3.14 1,000 role; \u201cquoted\u201d \u4e2d\u6587 na\u00efve "
         "user-defined don't $5 50% e.g. U.S. VACUUM vacuum and & &amp; <b> \u00df running runs").split()


def pairs():
    """A reference, and the same with words left out, changed and moved."""
    rng = random.Random(4)
    for _ in range(PAIRS):
        words = rng.choices(WORDS, k=rng.randint(1, 30))
        changed = [rng.choice(WORDS) if rng.random() < 0.2 else word for word in words if rng.random() > 0.15]
        if changed and rng.random() < 0.3:
            at = rng.randrange(len(changed))
            changed = changed[at:] + changed[:at]
        yield " ".join(changed), " ".join(words)


def write(path, texts):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(text + "\n" for text in texts)
    return path


def rouge(kind, hyps, refs):
    scorer = rouge_scorer.RougeScorer([kind])
    return sum(scorer.score(ref, hyp)[kind].fmeasure for hyp, ref in zip(hyps, refs)) / len(hyps)


def main():
    program, work = sys.argv[1:]
    hyps, refs = zip(*pairs())
    files = [f"--hyp={write(f'{work}/hyp.txt', hyps)}", f"--ref={write(f'{work}/ref.txt', refs)}"]
    bleu = lambda **options: sacrebleu.corpus_bleu(list(hyps), [list(refs)], **options).score
    cases = {
        ("bleu",): bleu(),
        ("bleu", "--words=intl"): bleu(tokenize="intl"),
        ("bleu", "--words=char"): bleu(tokenize="char"),
        ("bleu", "--words=none"): bleu(tokenize="none"),
        ("bleu", "--lowercase"): bleu(lowercase=True),
        ("bleu", "--smooth=floor"): bleu(smooth_method="floor"),
        ("bleu", "--smooth=add-k"): bleu(smooth_method="add-k"),
        ("rouge-1",): rouge("rouge1", hyps, refs),
        ("rouge-2",): rouge("rouge2", hyps, refs),
        ("rouge-l",): rouge("rougeL", hyps, refs),
        ("rouge-lsum",): rouge("rougeLsum", hyps, refs),
    }
    ours = {case: loom_json(program, "score", *case, *files, "--resamples=0")["value"] for case in cases}
    differences = {case: abs(ours[case] - theirs) for case, theirs in cases.items()}
    worst = max(differences, key=differences.get)
    verdict(differences[worst] <= TOLERANCE,
            f"{len(cases)} scores of {PAIRS} pairs (BLEU {ours[('bleu',)]:.2f}, ROUGE-L {ours[('rouge-l',)]:.4f}): "
            f"they differ by at most {differences[worst]:.1e} ({' '.join(worst)})")


main()

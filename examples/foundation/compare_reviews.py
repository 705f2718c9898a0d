#!/usr/bin/env python3
"""compare_reviews.py BEFORE AFTER: two reviews of the same held-out questions; exit 1 unless AFTER is better.

Better: the whole 95 % interval of the mean difference in ROUGE-L, resampled over questions, is above 0, and the whole
interval of the ratio of answer losses, as the second review has it, is below 1.
"""
import json
import math
import random
import sys


def snapshot(folder):
    with open(f"{folder}/review.json", encoding="utf-8") as file:
        return json.load(file)["snapshots"][0]


def rouge_by_question(folder):
    with open(f"{folder}/answers.jsonl", encoding="utf-8") as file:
        return {row["id"]: row["rouge-l"] for row in map(json.loads, file)}


def interval(values, resamples=2000):
    rng = random.Random(1)
    means = sorted(sum(rng.choices(values, k=len(values))) / len(values) for _ in range(resamples))
    return means[int(0.025 * resamples)], means[int(0.975 * resamples)]


def main():
    before, after = (rouge_by_question(folder) for folder in sys.argv[1:3])
    assert before.keys() == after.keys()
    differences = [after[question] - before[question] for question in before]
    low, high = interval(differences)
    ratio, losses = snapshot(sys.argv[2])["answer_loss_ratio"], [snapshot(f)["answer_loss"]["value"] for f in sys.argv[1:3]]
    means = [sum(r.values()) / len(r) for r in (before, after)]
    print(f"{len(before)} held-out questions")
    print(f"  ROUGE-L     {means[0]:.3f} -> {means[1]:.3f}, better by {sum(differences) / len(differences):.3f} "
          f"[{low:.3f}, {high:.3f}]")
    print(f"  perplexity  {math.exp(losses[0]):.1f} -> {math.exp(losses[1]):.1f}, loss times {ratio['value']:.3f} "
          f"[{ratio['low']:.3f}, {ratio['high']:.3f}]")
    sys.exit(0 if low > 0 and ratio["high"] < 1 else 1)


main()

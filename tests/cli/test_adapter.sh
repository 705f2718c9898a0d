#!/usr/bin/env bash
# An adapter of its own: what is merged later is what was trained, and wrong ones are refused.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
small_project p
"$loom" run pretrain --project=p --quiet > run.log
base=$("$loom" status --project=p --quiet | awk '$1 == "pretrain" { print $NF }')
for i in $(seq 20); do
    split=$([ "$i" -gt 2 ] && echo train || echo heldout)
    printf '{"id":"%d","snapshot":"s","question":"Which table is %d?","answer":"The table %d.","split":"%s"}\n' \
        "$i" "$i" "$i" "$split"
done > pairs.jsonl
tune() { "$loom" finetune --model="$base" --pairs=pairs.jsonl --window-size=64 --window-stride=32 --batch-tokens=128 --quiet "$@"; }
tune --out=tuned --lora-rank=3 --lora-targets=q,gate
"$loom" model merge-adapter "$base" tuned/adapter --out=merged --quiet
cmp tuned/model.safetensors merged/model.safetensors || fail "the merged model is not the one that was trained"
cmp -s "$base/model.safetensors" merged/model.safetensors && fail "nothing was learned"

# Two adapters on one base, one after the other.
tune --out=other --lora-rank=2 --lora-targets=v
"$loom" model merge-adapter "$base" tuned/adapter other/adapter --out=both --quiet

# Refused: a matrix that is none, a folder that holds no adapter.
rc=0
tune --out=bad --lora-rank=2 --lora-targets=embed 2> err || rc=$?
[ $rc = 2 ] && grep -q "'embed' is no matrix" err || fail "a target 'embed' ended with $rc: $(cat err)"
rc=0
"$loom" model merge-adapter "$base" "$base" --out=bad2 2> err || rc=$?
[ $rc != 0 ] && grep -q "adapter_config.json" err || fail "a folder without adapter ended with $rc: $(cat err)"

# What is trained is shown, and nothing is trained.
"$loom" finetune --model="$base" --pairs=pairs.jsonl --window-size=64 --window-stride=32 --show-samples=1 --quiet > shown
grep -q '«The table 3.<|im_end|>»' shown && grep -q 'Which table is 3?' shown || fail "$(cat shown)"
[ "$(grep -c '^-- sample' shown)" = 1 ] || fail "more than one sample is shown"

# Preferences: the chosen answers gain on the rejected ones; a line without a rejected answer is left out.
for i in $(seq 24); do
    printf '{"question":"Which table is %d?","chosen":"The table %d.","rejected":"No view has it.","split":"train"}\n' "$i" "$i"
done > preferences.jsonl
echo '{"question":"Which?","answer":"The role.","split":"train"}' >> preferences.jsonl
"$loom" finetune --model="$base" --pairs=preferences.jsonl --window-size=64 --window-stride=32 --batch-tokens=512 --quiet \
    --dpo-beta=0.5 --skip-unlabelled --epochs=4 --out=preferred --json | tail -1 | grep -q '"pairs":24,.*"pairs_unanswered":1,' || fail "pairs are miscounted"
head -1 preferred/metrics.jsonl | grep -q '"loss":0.69314' || fail "the first loss is not ln 2: $(head -1 preferred/metrics.jsonl)"
awk -F'"margin":' '/margin/ { split($2, m, ","); last = m[1] } END { exit !(last > 0.2) }' preferred/metrics.jsonl ||
    fail "nothing was preferred: $(tail -1 preferred/metrics.jsonl)"

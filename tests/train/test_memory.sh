#!/usr/bin/env bash
# What is resident at most is what was planned, within 5 %: pre-training, fine-tuning, an adapter, each also with
# activations computed again.  The model is large enough for a few MB of libraries and allocator not to matter.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }
if grep -q __asan_init "$loom"; then
    echo "a sanitizer has memory of its own: nothing to compare"
    exit 77
fi

rm -rf w && mkdir w && cd w
small_project p
"$loom" run tokens --project=p --quiet > run.log
path() { "$loom" status --project=p --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
for i in $(seq 40); do
    printf '{"question":"Which table is number %d?","answer":"The table %d.","split":"train"}\n' "$i" "$i"
done > pairs.jsonl
pretrain=(pretrain --tokens="$(path tokens)" --tokenizer="$(path tokenizer)" --dim=384 --layers=6 --heads=6 --kv-heads=6
    --ffn-dim=1024 --context=64 --steps=3 --batch-tokens=4096)
finetune=(finetune --model=base --pairs=pairs.jsonl --epochs=1 --batch-tokens=2048)

# planned NAME ARGS...: peak as the system counts it, against the plan that was printed before the first step.
planned() {
    local name=$1
    shift
    "$loom" "$@" --out="$name" 2> log || fail "$name: $(tail -3 log)"
    local plan told peak
    plan=$(sed -n 's/.*against the plan of \([0-9]*\) MB.*/\1/p' log)
    peak=$(sed -n 's/.*: \([0-9]*\) MB were resident at most.*/\1/p' log)
    told=$(sed -n 's/.*memory plan \([0-9]*\) MB.*/\1/p' log)
    [ -n "$plan" ] && [ -n "$peak" ] && [ -n "$told" ] || fail "$name: $(cat log)"
    [ $((told - plan)) -ge 0 ] && [ $((told - plan)) -le 1 ] || fail "$name: two plans, $told and $plan MB"
    echo "$name: $peak MB resident, $plan MB planned"
    awk -v p="$peak" -v q="$plan" 'BEGIN { exit !(p / q < 1.05 && p / q > 0.95) }' || fail "$name: over 5 % apart"
}
planned base "${pretrain[@]}"
planned again "${pretrain[@]}" --recompute
planned adamw "${pretrain[@]}" --optimizer=adamw
planned f32 "${pretrain[@]}" --precision=f32
planned tuned "${finetune[@]}"
planned adapted "${finetune[@]}" --lora-rank=8
planned adapted_again "${finetune[@]}" --lora-rank=8 --recompute
planned private "${finetune[@]}" --project=p --dp-noise=1 --dp-delta=0.001

#!/usr/bin/env bash
# The search for settings: its best is the best of all trials trained alone; killed it ends with the same bytes.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
small_project p
"$loom" run tokens --project="$PWD/p" --quiet > run.log
path() { "$loom" status --project="$PWD/p" --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
tokens=$(path tokens) tokenizer=$(path tokenizer)
field() { sed "s/.*\"$1\":\([^,}]*\).*/\1/"; }
small=(--dim=16 --layers=1 --heads=2 --kv-heads=1 --ffn-dim=32 --context=32 --batch-tokens=256 --steps=27
    --warmup-steps=2 --eval-every=0 --threads=1)
data=(--tokens="$tokens" --tokenizer="$tokenizer")
mkdir elsewhere && cd elsewhere   # no loom.yaml here
search=("$loom" tune pretrain "${data[@]}" "${small[@]}" --try lr=log:1e-4..0.1 --try optimizer=adamw,muon
    --try weight-decay=0..0.2 --trials=9 --eta=3 --rungs=3)

# What it makes.
"${search[@]}" --out=a --quiet > best.txt
cmp best.txt a/best.yaml || fail "printed: $(cat best.txt)"
[ "$(wc -l < a/trials.jsonl)" = 14 ] || fail "1 + 9 + 3 + 1 lines: $(cat a/trials.jsonl)"
[ "$(ls a/curves | wc -l)" = 9 ] && [ ! -e a.work ] && [ ! -e a.tmp ] || fail "$(ls . a/curves)"
! grep -qi 'https\?://\|<script' a/tune.html || fail "the page asks for something from outside"
grep -q '<svg class="chart"' a/tune.html && grep -q 'class="best"' a/tune.html || fail "no pictures"

# Every trial alone, at full length, by loom pretrain: the winner has the least loss of those that came to the last
# rung, and is among the best third of all; its model is the one that its settings give.
best=$(tail -1 a/trials.jsonl | field trial)
grep '"rung":0' a/trials.jsonl > first.jsonl
while read -r line; do
    n=$(field trial <<< "$line")
    "$loom" pretrain "${data[@]}" "${small[@]}" --lr="$(field lr <<< "$line")" \
        --optimizer="$(field optimizer <<< "$line" | tr -d '"')" --weight-decay="$(field weight-decay <<< "$line")" \
        --out="alone-$n" --quiet --json | tail -1 | field heldout_loss | sed "s/^/$n /"
done < first.jsonl > alone.txt
[ "$(wc -l < alone.txt)" = 9 ] || fail "$(cat alone.txt)"
rank=$(sort -g -k2 alone.txt | awk -v b="$best" '$1 == b { print NR }')
[ "$rank" -le 3 ] || fail "trial $best is number $rank of $(sort -g -k2 alone.txt)"
[ "$(awk -v b="$best" '$1 == b { print $2 }' alone.txt)" = "$(tail -1 a/trials.jsonl | field heldout_loss)" ] ||
    fail "the winner alone has another loss: $(cat alone.txt) $(tail -1 a/trials.jsonl)"
cmp a/model/model.safetensors "alone-$best/model.safetensors" || fail "the winner's model is another"
cmp a/model/metrics.jsonl "alone-$best/metrics.jsonl" || fail "the winner's log is another"
"$loom" pretrain "${data[@]}" --config=a/best.yaml --threads=1 --out=pasted --quiet
cmp a/model/model.safetensors pasted/model.safetensors || fail "best.yaml gives another model"

# One rung: all are trained to the end, and the best of them is the best.
"${search[@]}" --rungs=1 --no-keep-model --out=all --quiet > all.txt
grep -q "^# trial $(sort -g -k2 alone.txt | head -1 | cut -d' ' -f1) of 9" all.txt || fail "$(cat all.txt alone.txt)"
[ ! -e all/model ] || fail "a model that was not wanted"

# Killed when 1, 4 and 9 lines are there, then stopped: the same bytes.
for lines in 1 4 9; do
    "${search[@]}" --out=b --quiet > b.txt & run=$!
    for _ in $(seq 2000); do
        [ ! -d b ] && [ "$(cat b.work/trials.jsonl 2>/dev/null | wc -l)" -lt $lines ] || break
        sleep 0.01
    done
    kill -9 $run 2>/dev/null || true
    wait $run 2>/dev/null || true
    [ ! -d b ] || fail "the search was too fast to be killed"
done
"${search[@]}" --out=b > b.txt 2> b.err & run=$!
for _ in $(seq 2000); do ! grep -q 'goes on after' b.err || break; sleep 0.01; done
kill -INT $run 2>/dev/null || true
rc=0
wait $run || rc=$?
[ $rc = 130 ] && grep -q 'the same command goes on' b.err || [ $rc = 0 ] || fail "stopped with $rc: $(cat b.err)"
[ $rc = 0 ] || "${search[@]}" --out=b --quiet > b.txt
diff -r a b || fail "a killed search ended elsewhere"

# Another search does not go on in the work of this one.
"${search[@]}" --out=c --quiet > c.txt & run=$!
for _ in $(seq 200); do [ ! -s c.work/trials.jsonl ] || break; sleep 0.02; done
kill -9 $run 2>/dev/null || true
wait $run 2>/dev/null || true
if [ ! -d c ]; then
    rc=0
    "${search[@]}" --sampling-seed=2 --out=c --quiet 2> err || rc=$?
    [ $rc = 2 ] && grep -q "is of a search with other settings" err || fail "another search ended with $rc: $(cat err)"
fi

# Trials that cannot be built or diverge are results; when all fail, that is one.
"${search[@]}" --try heads=2,3,5 --rungs=2 --trials=8 --no-keep-model --out=d --quiet > d.txt
grep -q '"state":"failed","why":"[^"]' d/trials.jsonl || fail "$(cat d/trials.jsonl)"
! grep '"state":"failed"' d/trials.jsonl | grep -q '"heads":2' || fail "a sound trial failed"
rc=0
"${search[@]}" --try heads=3,5 --no-baseline --trials=2 --out=e --quiet 2> err || rc=$?
[ $rc = 1 ] && grep -q 'all 2 trials failed; the first: ' err || fail "ended with $rc: $(cat err)"

# In a project: loom.yaml says what is searched, flags come before it; fine-tuning by snapshot.
cat >> ../p/loom.yaml <<'YAML'
tune:
  trials: 4
  rungs: 2
  pretrain:
    lr: log:1e-3..1e-1
    ffn-dim: [32, 64]
  finetune:
    lr: log:1e-4..1e-2
    lora-rank: 0..4/2
YAML
"$loom" tune pretrain --project=../p --steps=9 --eval-every=0 --no-keep-model --out=f --quiet > f.txt
grep -q '"ffn-dim":' f/trials.jsonl && grep -q '^  steps: 9$' f.txt && grep -q '^  dim: 32$' f.txt || fail "$(cat f.txt)"
"$loom" tune finetune --project=../p --window-size=48 --out=g --quiet > g.txt
grep -q '^  lora-rank: [024]$' g.txt && grep -q '^  window-size: 48$' g.txt && grep -q 'snapshot: "sql"' g.txt ||
    fail "$(cat g.txt)"
[ -s g/model/model.safetensors ] || fail "no model"

# Refused, with the reason.
refuse() {
    local words=$1 rc=0
    shift
    "$loom" tune pretrain "${data[@]}" "${small[@]}" --out=no --quiet "$@" 2> err || rc=$?
    [ $rc = 2 ] && grep -q -- "$words" err || fail "$* ended with $rc: $(cat err)"
    [ ! -e no ] && [ ! -e no.tmp ] || fail "$* left something"
}
refuse 'nothing is searched'
refuse "pretrain has no option 'lrr'; did you mean 'lr'" --try lrr=1,2
refuse 'lr must be between 1e-09 and 10, not 100' --try lr=1e-3..100
refuse 'is empty; the lower end comes first' --try lr=0.1..0.01
refuse 'layers must be a whole number' --try layers=1.5,2
refuse 'layers is there twice' --try layers=1,2 --try layers=3,4
refuse 'the value 2 is there twice' --try layers=2,02
refuse 'words separated by commas' --try 'layers=1,,2'
refuse 'has no values' --try layers=
refuse 'checkpoint-every does not change the model' --try checkpoint-every=1,2
refuse 'it changes what is measured' --try eval-tokens-max=1..2
refuse 'every trial would spend privacy' --try dp-noise=1,2
refuse 'private runs' --try lr=1e-3,2e-3 --dp-noise=1
refuse 'begins above 0' --try weight-decay=log:0..1
refuse 'has no range; list its values' --try optimizer=adamw..muon
refuse 'the step .* no positive number' --try lr=0.1..1/x
refuse 'is not NAME=VALUES' --try lr
refuse 'brackets need as many rungs' --try layers=1,2 --brackets=3 --rungs=2

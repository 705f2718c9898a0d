#!/usr/bin/env bash
# Private runs: what they promise is written, a killed one goes on to the same bytes, the ledger refuses what is too much.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
small_project p
"$loom" run pretrain --project=p --quiet > run.log
path() { "$loom" status --project=p --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
base=$(path pretrain) tokens=$(path tokens) tokenizer=$(path tokenizer)
for i in $(seq 60); do
    printf '{"id":"%d","person":"p%d","snapshot":"s","question":"Which table is %d?","answer":"The table %d.","split":"%s"}\n' \
        "$i" $((i / 3)) "$i" "$i" "$([ "$i" -gt 6 ] && echo train || echo heldout)"
done > pairs.jsonl
tune() {
    "$loom" finetune --project=p --model="$base" --pairs=pairs.jsonl --window-size=64 --window-stride=32 \
        --batch-tokens=512 --dp-delta=1e-3 --quiet "$@"
}
field() { sed "s/.*\"$1\":\([^,}]*\).*/\1/"; }

# Within its epsilon; the folder says so, and holds no key and no raw loss.
tune --out=a --dp-epsilon=4 --lora-rank=2 --dp-unit=person
grep -q '"unit":"person".*"units":19,' a/privacy.json || fail "$(cat a/privacy.json)"
awk -v e="$(field epsilon < a/privacy.json)" 'BEGIN { exit !(e > 3.9 && e <= 4) }' || fail "$(cat a/privacy.json)"
back=$("$loom" privacy epsilon --noise="$(field noise < a/privacy.json)" --rate="$(field rate < a/privacy.json)" \
    --steps="$(field steps < a/privacy.json)" --delta=1e-3 --json | tail -1)
[ "$(field epsilon <<< "$back")" = "$(field epsilon < a/privacy.json)" ] || fail "promised: $(cat a/privacy.json), is: $back"
grep -q '"step":1,' a/metrics.jsonl || fail "no steps are logged"
grep '"lr"' a/metrics.jsonl | grep -q '"loss"\|"grad_norm"' && fail "a raw loss or norm is in the log"
find a | grep -i key && fail "the key of the noise is in the model's folder"

# Stopped half way by a signal, a run goes on to the bytes of one with the same key that was not.
private=("$loom" pretrain --project=p --tokens="$tokens" --tokenizer="$tokenizer" --dim=32 --layers=1 --heads=2
    --kv-heads=1 --ffn-dim=32 --context=32 --steps=200 --batch-tokens=128 --checkpoint-every=10 --eval-every=0
    --dp-noise=1 --dp-delta=1e-3 --threads=1 --quiet)
"${private[@]}" --out=whole & run=$!
for _ in $(seq 400); do [ -z "$(ls whole.work/*.noise-key 2>/dev/null)" ] || break; sleep 0.02; done
mkdir -p killed.work && cp whole.work/*.noise-key killed.work/
[ "$(stat -c %a whole.work/*.noise-key)" = 600 ] || fail "others may read the key"
wait $run
"${private[@]}" --out=killed & run=$!
for _ in $(seq 400); do [ -z "$(ls killed.work/*.json 2>/dev/null)" ] || break; sleep 0.02; done
kill -9 $run 2>/dev/null || true
wait $run 2>/dev/null || true
[ ! -d killed ] || fail "the run was too fast to be killed"
"${private[@]}" --out=killed
cmp whole/model.safetensors killed/model.safetensors || fail "the killed run ended elsewhere"
cmp whole/metrics.jsonl killed/metrics.jsonl

# The ledger: two entries (a, and the pre-training once, for the key was one), then a budget that is too small.
"$loom" privacy ledger --project=p --json | tail -1 | grep -q '"partition":"all","runs":2,' ||
    fail "$("$loom" privacy ledger --project=p)"
"$loom" privacy budget letters --project=p --epsilon=3 --delta=1e-3
tune --out=b --dp-epsilon=2 --dp-partition=letters
rc=0
tune --out=c --dp-epsilon=2.5 --dp-partition=letters 2> err || rc=$?
[ $rc = 3 ] && grep -q "'letters' has a budget of epsilon 3" err || fail "beyond the budget ended with $rc: $(cat err)"
[ ! -e c ] || fail "a refused run left a model"

# Refused: no person said, a delta that promises nothing.
sed 's/"person":"[^"]*",//' pairs.jsonl > nobody.jsonl
for bad in "--dp-noise=1 --dp-unit=person --pairs=nobody.jsonl" "--dp-noise=1 --dp-delta=0.1"; do
    rc=0
    tune --out=d $bad 2> err || rc=$?
    [ $rc = 2 ] && grep -q '^loom: privacy: ' err || fail "$bad ended with $rc: $(cat err)"
done

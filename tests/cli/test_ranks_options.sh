#!/usr/bin/env bash
# Several ranks with every option of the loop: whole folders are those of one process.  With real MPI.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
. "$2/lib/ranks.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }
ranks_or_skip "$loom"

ranks_project
data=(--project=p --tokens="$tokens" --tokenizer="$tokenizer")
model=(--dim=32 --layers=2 --heads=2 --kv-heads=1 --ffn-dim=48 --context=32 --quiet)
pretrain=(pretrain "${data[@]}" "${model[@]}" --batch-parts=2)
finetune() { echo finetune --project=p --model=base --pairs="$1" --window-size=64 --window-stride=32 --batch-tokens=512 --batch-parts=2 --quiet; }

# NAME RANKS OPTION...: by one process and by so many; everything they make is the same.  What they share must not
# be known by chance only: the key of a private run is the one of the first.
same() {
    local name=$1 count=$2; shift 2
    "$loom" "$@" --memory-max-mb=1 --out="$name-1" 2> /dev/null && fail "$name: planned in 1 MB"
    if ls "$name-1".work/*.noise-key > /dev/null 2>&1; then
        mkdir -p "$name-$count.work" && cp -p "$name-1".work/*.noise-key "$name-$count.work"
    fi
    "$loom" "$@" --out="$name-1"
    ranks "$count" "$loom" "$@" --threads=1 --out="$name-$count" > job.log 2>&1 || fail "$name: $(cat job.log)"
    diff -r "$name-1" "$name-$count" || fail "$name: $count ranks make something else"
    [ ! -e "$name-$count.work" ] || fail "$name: the checkpoints are still there"
}
has() { grep -q -- "$2" "$1" || fail "$1 has no $2: $(cat "$1")"; }

# ---- pre-training ----

same leaves 2 "${pretrain[@]}" --steps=12 --batch-tokens=256 --snapshot-every=3 --keep-snapshots=2 --sample-every=5 \
    --sample-prompt='The command' --sample-tokens=6 --schedule=wsd --dropout=0.1 --recompute
[ "$(ls leaves-2/snapshots)" = "$(printf 'step-%010d\n' 9 12)" ] || fail "$(ls leaves-2/snapshots)"
[ "$(wc -l < leaves-2/samples.jsonl)" = 2 ] || fail "$(cat leaves-2/samples.jsonl)"

same patient 2 "${pretrain[@]}" --steps=60 --batch-tokens=256 --lr=0.1 --eval-every=1 --patience=1
has patient-2/metrics.jsonl '"stopped_early":true'

same jumpy 2 "${pretrain[@]}" --steps=60 --batch-tokens=128 --lr=1e-5 --matrix-lr=1e-5 --spike-deviations=0.2 \
    --spike-back=10 --rollbacks-max=16
has jumpy-2/metrics.jsonl rolled_back_from

# Private: each rank has half of the documents, its slices' noise, and the key of the first.
private=("${pretrain[@]}" --steps=8 --batch-tokens=512 --eval-every=0 --dp-noise=0.5 --dp-delta=1e-3)
same private 2 "${private[@]}"
has private-2/privacy.json '"unit":"document"'
"$loom" privacy ledger --project=p --json | tail -1 | grep -q '"runs":1,' || fail "two ranks are two entries in the ledger"
"$loom" "${private[@]}" --out=other-key
cmp -s private-1/model.safetensors other-key/model.safetensors && fail "the key makes no difference"

# ---- fine-tuning ----

"$loom" "${pretrain[@]}" --steps=20 --batch-tokens=512 --context=64 --out=base
for i in $(seq 24); do
    split=$([ "$i" -gt 4 ] && echo train || echo heldout)
    printf '{"person":"p%d","question":"Which is %d?","answer":"The table %d.","split":"%s"}\n' $((i / 2)) "$i" "$i" $split >&3
    printf '{"question":"Which is %d?","chosen":"The table %d.","rejected":"No view.","split":"%s"}\n' "$i" "$i" $split >&4
done 3> pairs.jsonl 4> preferences.jsonl
answers=$(finetune pairs.jsonl) preferences=$(finetune preferences.jsonl)

same whole 2 $answers --epochs=2 --eval-every=1 --patience=2
same adapter 2 $answers --epochs=2 --lora-rank=2 --lora-dropout=0.1 --snapshot-every=2 --sample-every=3 --sample-prompt=Which?
[ -s adapter-2/adapter/adapter_model.safetensors ] || fail "no adapter: $(ls adapter-2)"
cmp -s adapter-2/model.safetensors base/model.safetensors && fail "the adapter changed nothing"
same persons 2 $answers --epochs=2 --lora-rank=2 --dp-noise=1 --dp-delta=1e-2 --dp-unit=person
has persons-2/privacy.json '"unit":"person"'
same preferred 4 $preferences --epochs=2 --dpo-beta=0.5 --batch-parts=4
has preferred-4/metrics.jsonl '"margin"'
same preferred-adapter 2 $preferences --epochs=2 --dpo-beta=0.5 --lora-rank=2 --snapshot-every=2
"$loom" $preferences --epochs=2 --dpo-beta=0.5 --batch-parts=1 --out=one-part
cmp -s one-part/model.safetensors preferred-4/model.safetensors && fail "the number of parts makes no difference"

# ---- the search for settings ----

# Trials are shared, one after the other; what is written is what one process writes.  heads=5 cannot be built.
search=(tune pretrain "${data[@]}" "${model[@]}" --batch-parts=2 --steps=9 --batch-tokens=128 --eval-every=0
    --try lr=log:1e-3..0.1 --try heads=2,5 --trials=5 --rungs=2)
"$loom" "${search[@]}" --out=search-1 > best-1.yaml
ranks 2 "$loom" "${search[@]}" --threads=1 --out=search-2 > best-2.yaml
grep -q '"state":"failed"' search-2/trials.jsonl && grep -q '"state":"measured"' search-2/trials.jsonl || fail "$(cat search-2/trials.jsonl)"
diff -r search-1 search-2 && diff best-1.yaml best-2.yaml || fail "two ranks search otherwise"
[ ! -e search-2.work ] && [ ! -e search-2.tmp ] || fail "the search left something"
search=(tune finetune --project=p --pairs=pairs.jsonl --model=base --window-size=32 --batch-tokens=256 --batch-parts=2
    --epochs=1 --quiet --try lr=1e-4,1e-2 --lora-rank=2 --rungs=1)
"$loom" "${search[@]}" --out=answers-1 > best-1.yaml
ranks 2 "$loom" "${search[@]}" --threads=1 --out=answers-2 > best-2.yaml
diff -r answers-1 answers-2 && diff best-1.yaml best-2.yaml || fail "two ranks search otherwise"

# Stopped, it goes on with one process.
search=(tune pretrain "${data[@]}" "${model[@]}" --batch-parts=2 --steps=60 --batch-tokens=128 --eval-every=0
    --try lr=log:1e-3..0.1 --trials=4 --rungs=2)
ranks_in_background 2 "$loom" "${search[@]}" --threads=1 --out=searched
for _ in $(seq 2000); do [ "$(cat searched.work/trials.jsonl 2> /dev/null | wc -l)" -lt 2 ] || break; sleep 0.01; done
kill -TERM "$(rank_process 1)"
wait "$job" && fail "a search that was asked to stop ended with 0"
[ "$(grep -c '^loom: tune: stopped .*the same command goes on' job.log)" = 1 ] || fail "$(cat job.log)"
"$loom" "${search[@]}" --out=searched > best-1.yaml
"$loom" "${search[@]}" --out=unstopped > best-2.yaml
diff -r searched unstopped || fail "a search that was stopped ended elsewhere"

# ---- refused before the first step, in one sentence ----

refused() {   # WANTED COMMAND...
    local wanted=$1; shift
    "$@" > refused.log 2>&1 && fail "not refused: $*"
    [ "$(grep -c '^loom: ' refused.log)" = 1 ] && grep -q "$wanted" refused.log || fail "$(cat refused.log)"
    [ ! -e refused ] && [ ! -e refused.tmp ] || fail "a refused run left a model"
}
refused '3 ranks cannot share a batch of 2 parts' ranks 3 "$loom" "${private[@]}" --out=refused
refused 'a batch of 2 pairs cannot be cut into 4 parts' \
    ranks 4 "$loom" $preferences --dpo-beta=0.5 --batch-parts=4 --batch-tokens=256 --out=refused
refused 'spike-deviations would look at losses' ranks 2 "$loom" "${private[@]}" --spike-deviations=3 --out=refused
refused 'tune: trial 0: 2 ranks cannot share a batch of 1 parts' \
    ranks 2 "$loom" "${search[@]}" --batch-parts=1 --out=refused
refused 'run: a project is made by one process, and 2 were started' ranks 2 "$loom" run tokens --project=p --quiet
"$loom" privacy budget small --project=p --epsilon=0.01 --delta=1e-3 --quiet
rc=0
ranks 2 "$loom" "${private[@]}" --dp-partition=small --out=refused > refused.log 2>&1 || rc=$?
[ $rc = 3 ] && grep -q "'small' has a budget" refused.log || fail "beyond the budget: $rc, $(cat refused.log)"

# ---- a private run goes on at another number of ranks ----

long=("${pretrain[@]}" --steps=150 --batch-tokens=128 --checkpoint-every=5 --eval-every=0 --dp-noise=1 --dp-delta=1e-3)
ranks_in_background 2 "$loom" "${long[@]}" --threads=1 --out=stopped
for _ in $(seq 2000); do ! ls stopped.work/*.json > /dev/null 2>&1 || break; sleep 0.01; done
mkdir undisturbed.work && cp -p stopped.work/*.noise-key undisturbed.work
kill -TERM "$(rank_process 1)"
wait "$job" && fail "a run that was asked to stop ended with 0"
grep -q 'stopped after step [0-9]* of 150' job.log || fail "$(cat job.log)"
"$loom" "${long[@]}" --out=stopped
"$loom" "${long[@]}" --out=undisturbed
diff -r stopped undisturbed || fail "a private run that was stopped ended elsewhere"

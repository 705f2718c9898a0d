#!/usr/bin/env bash
# kill -9 at twenty moments of chance, while it reads, trains, measures and writes: the run that goes on ends with the
# bytes of one that was left alone.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
small_project p
"$loom" run tokens --project=p --quiet > run.log
path() { "$loom" status --project=p --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
train=("$loom" pretrain --tokens="$(path tokens)" --tokenizer="$(path tokenizer)" --dim=48 --layers=3 --heads=3 --kv-heads=1
    --ffn-dim=96 --context=64 --steps=150 --batch-tokens=256 --checkpoint-every=5 --eval-every=20 --patience=1000
    --spike-deviations=6 --spike-back=30 --snapshot-every=50 --sample-every=40 --sample-prompt='The command' --sample-tokens=8
    --threads=1 --quiet)

now_ms() { echo $(($(date +%s%N) / 1000000)); }
start=$(now_ms)
"${train[@]}" --out=whole
whole_ms=$(($(now_ms) - start))

seed=${SEED:-$RANDOM}
echo "seed $seed, a whole run takes $whole_ms ms"
RANDOM=$seed
kills=0 ended=0
while [ $kills -lt 20 ]; do
    "${train[@]}" --out=killed 2> job.log &
    job=$!
    sleep "$(awk -v r=$RANDOM -v ms=$whole_ms 'BEGIN { print r / 32767 * ms / 3 / 1000 }')"
    if kill -9 $job 2> /dev/null; then
        rc=0
        wait $job 2> /dev/null || rc=$?
        [ $rc = 137 ] || fail "a killed run ended with $rc: $(cat job.log)"
        kills=$((kills + 1))
    else   # it was at its end: what it made is compared, and another one begins
        wait $job || fail "a run that goes on failed: $(cat job.log)"
        diff -r whole killed || fail "seed $seed: the run that was killed $kills times made other files"
        rm -rf killed
        ended=$((ended + 1))
    fi
done
"${train[@]}" --out=killed
diff -r whole killed || fail "seed $seed: the run that was killed $kills times made other files"
[ -e whole/snapshots/step-0000000100/model.safetensors ] && [ -s whole/samples.jsonl ] || fail "$(ls -R whole)"
[ ! -e killed.work ] || fail "checkpoints are left"
echo "$kills kills, $((ended + 1)) runs, the same bytes"

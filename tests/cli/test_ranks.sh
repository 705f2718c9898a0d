#!/usr/bin/env bash
# Several processes train one model: the bytes are those of one process, whatever the number of ranks; what cannot be
# shared is refused.  With real MPI.
set -euo pipefail
loom=$1
. "$2/lib/small_project.sh"
. "$2/lib/ranks.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }
ranks_or_skip "$loom"

ranks_project
same() {
    for file in model.safetensors metrics.jsonl config.json; do
        cmp "$1/$file" "$2/$file" || fail "$1 and $2 differ in $file"
    done
}

# Batch of 16 rows in 4 parts: 1, 2 and 4 ranks; Muon (whole matrices) and AdamW.
for optimizer in adamw muon; do
    one=("${train[@]}" --optimizer=$optimizer --batch-parts=4)
    "$loom" "${one[@]}" --threads=1 --out=$optimizer-1x1
    "$loom" "${one[@]}" --threads=2 --out=$optimizer-1x2
    ranks 2 "$loom" "${one[@]}" --threads=1 --out=$optimizer-2x1 --json > out.json
    [ "$(grep -c '"loss"' out.json)" = 1 ] || fail "one result is printed, by rank 0: $(cat out.json)"
    ranks 4 "$loom" "${one[@]}" --threads=1 --out=$optimizer-4x1
    for other in 1x2 2x1 4x1; do same $optimizer-1x1 $optimizer-$other; done
done
cmp -s adamw-1x1/model.safetensors muon-1x1/model.safetensors && fail "the optimiser makes no difference"

# Three parts, three ranks: what is not a power of two is added from first to last.
"$loom" "${train[@]}" --batch-parts=3 --out=three-1
ranks 3 "$loom" "${train[@]}" --batch-parts=3 --threads=1 --out=three-3
same three-1 three-3
cmp -s three-1/model.safetensors muon-1x1/model.safetensors && fail "the number of parts makes no difference"

# Refused in one sentence, before the first step.
refused() {   # WANTED COMMAND...
    local wanted=$1; shift
    "$@" > refused.log 2>&1 && fail "not refused: $*"
    [ "$(grep -c '^loom: ' refused.log)" = 1 ] && grep -q "$wanted" refused.log || fail "$(cat refused.log)"
    [ ! -e refused ] && [ ! -e refused.tmp ] || fail "a refused run left a model"
}
refused '3 ranks cannot share a batch of 4 parts: set batch-parts to 3' \
    ranks 3 "$loom" "${train[@]}" --batch-parts=4 --out=refused
refused '2 ranks cannot share a batch of 1 parts' ranks 2 "$loom" "${train[@]}" --out=refused
refused 'a batch of 16 rows cannot be cut into 17 parts' "$loom" "${train[@]}" --batch-parts=17 --out=refused
refused 'rank 0: .*exists and is not an empty folder' ranks 2 "$loom" "${train[@]}" --batch-parts=2 --out=three-1

# Ranks whose data or options are not the same.
cat > differ.sh <<'SH'
[ "$OMPI_COMM_WORLD_RANK" = 1 ] && set -- "$@" --seed=2
exec "$@"
SH
refused 'rank 1: the recipe .* is not that of rank 0' ranks 2 sh differ.sh "$loom" "${train[@]}" --batch-parts=2 --out=refused
cat > missing.sh <<'SH'
[ "$OMPI_COMM_WORLD_RANK" = 1 ] && set -- "$@" --tokens=nowhere
exec "$@"
SH
refused "rank 1: .*'nowhere/train.tokens'" ranks 2 sh missing.sh "$loom" "${train[@]}" --batch-parts=2 --out=refused

# Tasks that know nothing of each other are not trained side by side into one folder.
refused '2 tasks were started, but they do not know of each other' env SLURM_STEP_NUM_TASKS=2 "$loom" "${train[@]}" --out=refused

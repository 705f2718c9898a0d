#!/bin/sh
# ranks.sh BUILD [RUNS]: tokens/s of pre-training a model of 15 M parameters with ranks x threads 1 x 1, 1 x 2 and 2 x 1, by
# turns, RUNS times (3); medians go to bench/results/<machine>-ranks.csv.  The three models must be the same bytes.
# The text is the PostgreSQL manual (make deps-demo); time is that of 8 steps without that of 2, so starting, evaluating
# and writing do not count.  BENCH_WRAP="chrt -f 50" goes in front of every command, on a machine that others use too.
set -eu
loom=$(realpath "$1/loom")
runs=${2:-3}
stamp=$(sh bench/stamp.sh)
out=$PWD/bench/results/${stamp%,*}-ranks.csv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

mkdir p
cat > p/loom.yaml <<'YAML'
name: ranks
collect:
  sources:
    - name: manual
      path: /usr/share/doc/postgresql-doc-15/html
      license: PostgreSQL
prepare:
  languages: [en]
tokenizer:
  vocab-size: 32000
tokens:
  heldout-share: 0.05
YAML
"$loom" run tokens --project=p --quiet > run.log
path() { "$loom" status --project=p --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
tokens=$(path tokens) tokenizer=$(path tokenizer)

# seconds STEPS RANKS THREADS: of a whole command; its model stays in STEPS-RANKSxTHREADS.
seconds() {
    rm -rf "$1-$2x$3" "$1-$2x$3.work"
    launcher=
    [ "$2" = 1 ] || launcher="mpirun -n $2"
    begin=$(date +%s.%N)
    ${BENCH_WRAP:-} $launcher "$loom" pretrain --tokens="$tokens" --tokenizer="$tokenizer" --dim=288 --layers=6 --heads=6 --kv-heads=6 \
        --ffn-dim=768 --context=256 --optimizer=adamw --lr=5e-4 --batch-tokens=8192 --eval-every=0 --eval-tokens-max=256 \
        --checkpoint-every=0 --steps="$1" --threads="$3" --out="$1-$2x$3" --quiet
    echo "$begin $(date +%s.%N)" | awk '{ print $2 - $1 }'
}

for run in $(seq "$runs"); do
    for shape in "1 1" "1 2" "2 1"; do
        # shellcheck disable=SC2086
        set -- $shape
        short=$(seconds 2 "$1" "$2")
        long=$(seconds 8 "$1" "$2")
        rate=$(echo "$short $long" | awk '{ printf "%.1f", 6 * 8192 / ($2 - $1) }')
        echo "$rate" >> "rates-$1x$2"
        echo "run $run, $1 ranks x $2 threads: $rate tokens/s" >&2
    done
done
cmp 8-1x1/model.safetensors 8-1x2/model.safetensors
cmp 8-1x1/model.safetensors 8-2x1/model.safetensors
{
    echo "machine,commit,bench,case,value,unit,runs"
    for shape in 1x1 1x2 2x1; do
        echo "$stamp,ranks,15m $shape,$(sort -n "rates-$shape" | sed -n "$(((runs + 1) / 2))p"),tokens/s,$runs"
    done
} | tee "$out"

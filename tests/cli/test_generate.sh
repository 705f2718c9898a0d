#!/usr/bin/env bash
# generate: an answer has the form that was asked for; a form that cannot be had is refused in one sentence.
set -euo pipefail
loom=$1 tests=$2
model=$tests/golden/models/llama.gguf
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
generate() { "$loom" generate "$model" --prompt=x --max-tokens=40 --quiet "$@"; }

# answers PATTERN ARGS...: the whole answer is of this extended expression.
answers() {
    local pattern=$1
    shift
    generate "$@" > out.txt || fail "generate $* fails"
    grep -Eqx -- "$pattern" out.txt || fail "generate $*: $(cat out.txt)"
    [ "$(wc -l < out.txt)" = 1 ] || fail "generate $*: more than a line"
}

# refused PATTERN ARGS...: fails with this in its one sentence.
refused() {
    local pattern=$1
    shift
    ! generate "$@" > out.txt 2> err.txt || fail "generate $* accepted what it must not"
    grep -q -- "$pattern" err.txt || fail "'$pattern' is not in $(cat err.txt)"
}

printf 'root ::= "a" rest{2}\nrest ::= "b" | "c" "d"   # either\n' > form.gbnf
printf '{"enum": [10, 200, true, null]}' > form.json
answers '(yes|no)' '--regex=(yes|no)'
answers 'a{3}x' '--regex=a{3}x' --temperature=2 --seed=3
answers 'a(b|cd){2}' --grammar=form.gbnf --temperature=2
answers '10|200|true|null' --json-schema=form.json --temperature=2
generate '--regex=a{50}' --json | grep -q '"finish":"length"' || fail "a form that is cut short is not called so"

refused '--regex: .*byte 1: look-around' '--regex=a(?=b)'
refused "--json-schema: schema at '/type'" --json-schema=<(printf '{"type": "text"}')
refused "--grammar: .*'rest' is used but not defined" --grammar=<(printf 'root ::= rest')
refused 'only one of' --regex=a --grammar=form.gbnf
refused 'nowhere.json' --json-schema=nowhere.json
refused 'no token of the vocabulary' '--regex=\x01'   # this tokenizer has not every byte

# Snapshots of a run: by step, by name, the newest; of a run that goes on, too.
. "$tests/lib/small_project.sh"
small_project p
"$loom" run tokens --project=p --quiet > run.log
path() { "$loom" status --project=p --quiet | awk -v s="$1" '$1 == s { print $NF }'; }
train() {
    "$loom" pretrain --tokens="$(path tokens)" --tokenizer="$(path tokenizer)" --dim=16 --layers=1 --heads=1 --kv-heads=1 \
        --ffn-dim=16 --context=32 --steps=12 --batch-tokens=64 --eval-every=0 --quiet "$@"
}
train --snapshot-every=5 --lr=0.1 --out=run
said() { "$loom" generate "$1" --prompt=The --max-tokens=8 --temperature=2 --seed=5 --quiet "${@:2}"; }
said run/snapshots/step-0000000005 > wanted.txt
for name in 5 step-5 step-0000000005; do
    said run --snapshot=$name | cmp - wanted.txt || fail "--snapshot=$name is another model"
done
said run | cmp -s - wanted.txt && fail "the snapshot is the last model"
said run/snapshots/step-0000000010 > wanted.txt
said run --snapshot=newest | cmp - wanted.txt || fail "the newest snapshot is another model"
mkdir -p going.work/0123456789ab-snapshots/step-0000000015.tmp
cp -r run/snapshots/step-0000000010 going.work/0123456789ab-snapshots/
cp run/config.json going.work/0123456789ab-snapshots/step-0000000015.tmp   # being written
said going --snapshot=newest | cmp - wanted.txt || fail "the newest snapshot of a run that goes on is another model"
train --out=bare
model=run refused "no snapshot '7' in 'run/snapshots'; its steps are 5, 10, or say newest" --snapshot=7
model=run refused "no snapshot '../../bare' in" --snapshot=../../bare
model=bare refused "'bare' has no snapshots; .*--snapshot-every" --snapshot=5
model=nowhere refused "neither a model 'nowhere' nor a run that makes it" --snapshot=5

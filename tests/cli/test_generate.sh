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

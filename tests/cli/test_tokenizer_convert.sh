#!/usr/bin/env bash
# test_tokenizer_convert.sh PROGRAM TESTS_FOLDER: a tokenizer goes into another kind of file only with all its ids.
set -euo pipefail
loom=$1 golden=$2/golden/token
fail() { echo "FAIL: $*" >&2; exit 1; }
rm -rf converted && mkdir converted
gpt2=$(ls "$golden"/gpt2.tokenizer.json)

for to in tokenizer.json vocab+merges; do
    "$loom" tokenizer convert "$gpt2" --out="converted/$to" --to="$to" --quiet
    printf 'Hello  world 123\nna\xc3\xafve\n' >converted/text
    "$loom" tokenizer compare "$gpt2" "converted/$to" --text=converted/text --json --quiet |
        grep -q '"lines":2,"lines_different":0' || fail "ids differ in $to"
done
[ "$(head -n 1 converted/vocab+merges/merges.txt)" = "#version: 0.2" ] || fail "merges.txt has no first line"

if "$loom" tokenizer convert "$golden/llama3.tokenizer.json" --out=converted/llama3 --to=vocab+merges 2>converted/said; then
    fail "merges.txt has no place for the pattern of Llama 3"
fi
grep -q "cannot say all of this tokenizer" converted/said || fail "$(cat converted/said)"
[ ! -e converted/llama3 ] || fail "a refused conversion left its folder"
if "$loom" tokenizer convert "$gpt2" --out=converted/x --to=vocab.txt 2>converted/said; then fail "vocab.txt of BPE"; fi
grep -q "WordPiece only" converted/said || fail "$(cat converted/said)"
if "$loom" tokenizer convert "$gpt2" --out=converted/x --to=elf 2>converted/said; then fail "format elf"; fi
grep -q "unknown format 'elf'" converted/said || fail "$(cat converted/said)"
if "$loom" tokenizer compare "$gpt2" "$golden/llama3.tokenizer.json" --quiet >converted/said 2>&1; then fail "they differ"; fi
grep -q "the tokenizers differ" converted/said || fail "$(cat converted/said)"
echo ok

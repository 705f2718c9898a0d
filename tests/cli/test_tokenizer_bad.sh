#!/usr/bin/env bash
# What the world can do to the trainer and the encoder: one sentence that names the file, the place and what to do,
# or the same bytes back.
set -euo pipefail
loom=$1
fail() { echo "FAIL: $*" >&2; exit 1; }
count=0

# refused STATUS PATTERN ARGS...: exit status, one line on stderr that begins with "loom: ", and its words; no output.
refused() {
    local want=$1 pattern=$2 got=0
    shift 2
    rm -rf out
    "$loom" tokenizer "$@" --quiet > out.txt 2> err.txt || got=$?
    [ $got = "$want" ] || fail "loom tokenizer $* ended with $got, not $want: $(head -3 err.txt)"
    grep -q "^loom: .*$pattern" err.txt || fail "loom tokenizer $*: '$pattern' is not in: $(head -3 err.txt)"
    [ "$(grep -c '^loom: ' err.txt)" = 1 ] || fail "loom tokenizer $*: more than one error: $(cat err.txt)"
    [ ! -e out ] || fail "loom tokenizer $* left its folder"
    count=$((count + 1))
}

rm -rf w && mkdir w && cd w
kinds="bpe sentencepiece wordpiece"

# Nothing to learn from: no bytes, no records, records without text, a folder without files, no characters.
: > empty.txt
: > empty.jsonl
printf '{"id":"a","content":""}\n{"id":"b","content":""}\n' > hollow.jsonl
mkdir folder
printf '\n \n\t\n' > blank.txt
for kind in $kinds; do
    refused 2 "no text to learn from in 'empty.txt': give" train empty.txt --kind=$kind --out=out
    refused 2 "no text to learn from in 'empty.txt' and the other" train empty.txt empty.jsonl --kind=$kind --out=out
    refused 2 "no text to learn from in 'hollow.jsonl'" train hollow.jsonl --kind=$kind --out=out
done
refused 1 "'folder' holds no documents: expected .jsonl" train folder --out=out
refused 1 "cannot open 'missing.txt'" train missing.txt --out=out
refused 2 "no characters .*give it text" train blank.txt --kind=wordpiece --out=out

# A vocabulary smaller than its alphabet.
LC_ALL=C awk 'BEGIN { for (c = 19968; c < 22968; c++)
    printf "%c%c%c", 224 + int(c / 4096), 128 + int(c / 64) % 64, 128 + c % 64 }' > han.txt
refused 2 "vocab-size 258 is too small for 3 special tokens and 256 bytes; ask for more than 259" \
    train han.txt --vocab-size=258 --out=out
refused 2 "3260 tokens, more than vocab-size 1000; ask for a larger vocabulary or a smaller alphabet (coverage" \
    train han.txt --kind=sentencepiece --coverage=1 --vocab-size=1000 --out=out
refused 2 "tokens, more than vocab-size 500; ask for a larger" train han.txt --kind=wordpiece --vocab-size=500 --out=out
refused 2 "vocab-size must be between 64" train han.txt --vocab-size=3 --out=out

# Bytes that are no UTF-8, and NUL: text trains, and what has a token for every byte gives them back.
printf 'good text\n\xff\xfe bad \xc3 \xed\xa0\x80 \xf8\x88 text text\nNUL \0 NUL \0\n' > bytes.txt
for kind in $kinds; do
    "$loom" tokenizer train bytes.txt --kind=$kind --vocab-size=400 --frequency-min=1 --out=bytes-$kind --quiet ||
        fail "$kind does not train on bytes"
    "$loom" tokenizer encode --tokenizer=bytes-$kind --quiet < bytes.txt > ids
    "$loom" tokenizer encode --files bytes.txt --tokenizer=bytes-$kind --quiet | cmp - ids || fail "$kind: --files differs"
    "$loom" tokenizer decode --tokenizer=bytes-$kind --quiet < ids > back
    [ $kind = wordpiece ] || { cat bytes.txt; echo; } | cmp - back || fail "$kind: other bytes came back"
    count=$((count + 1))
done
printf '{"id":"a","content":"good"}\n{"id":"b","content":"bad \xff"}\n' > bytes.jsonl
refused 1 "bytes.jsonl:2: byte [0-9]*: the string is not valid UTF-8" train bytes.jsonl --out=out
printf '"bad \xff"\n' | refused 1 "standard input, line 1: .*not valid UTF-8" encode --lines --tokenizer=bytes-bpe

# One word without an end: not learned from, and encoded where memory stays bounded.
head -c 17000000 /dev/zero | tr '\0' x > word.txt
printf '{"id":"a","content":"good"}\n{"id":"b","content":"' > word.jsonl
cat word.txt >> word.jsonl
printf '"}\n' >> word.jsonl
echo "some words" > words.txt
for kind in $kinds; do
    refused 1 "word.txt, from byte 0 on: .*word of 17000000 bytes, more than 16777216.*break it into lines" \
        train words.txt word.txt --kind=$kind --out=out
done
refused 1 "word.jsonl, document [0-9a-f]*: .*word of 17000000 bytes" train word.jsonl --out=out
refused 1 "word.txt, from byte 0 on: .*word of 17000000 bytes" grow word.txt --tokenizer=bytes-bpe --out=out
[ "$("$loom" tokenizer encode --files word.txt --count --tokenizer=bytes-wordpiece --quiet)" = 1 ] ||
    fail "a word without end is not unknown"
truncate -s 2G endless.txt
refused 1 "endless.txt: from byte 0 on there is no line end in 256 MB; break the text into lines" train endless.txt --out=out
refused 1 "endless.txt: from byte 0 on there is no place to break the text in 64 MB .*; break the text" \
    encode --files words.txt endless.txt --tokenizer=bytes-bpe
[ "$(wc -l < out.txt)" = 1 ] || fail "the file before the bad one was not encoded"
rm endless.txt

# Files and options that do not go together.
refused 1 "cannot open 'missing.txt'" encode --files words.txt missing.txt --tokenizer=bytes-bpe
refused 1 "regular file" encode --files /dev/null --tokenizer=bytes-bpe
refused 2 "names of files" encode --files --tokenizer=bytes-bpe
refused 2 "quote it" encode some words --tokenizer=bytes-bpe
refused 2 "no offsets, cutting or padding" encode --files words.txt --offsets --tokenizer=bytes-bpe

# Merges that go round in a circle, are there twice, or make what is not there.
model() { # VOCAB MERGES
    printf '{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":null,'
    printf '"model":{"type":"BPE","vocab":{%s},"merges":[%s]}}' "$1" "$2"
}
model '"":0,"a":1,"b":2,"ab":3' '["","a"],["a","b"]' > circle.json
model '"a":0,"b":1,"ab":2,"aba":3' '["a","b"],["ab","a"],["a","b"]' > twice.json
model '"a":0,"b":1' '["a","b"]' > none.json
model '"a":0,"b":0' '' > same.json
model '"a":0,"b":4000000000' '' > far.json
for name in circle twice; do
    got=0
    timeout 20 "$loom" tokenizer encode abababab --tokenizer=$name.json --quiet > out.txt 2> err.txt || got=$?
    [ $got -lt 124 ] || fail "$name.json does not end"
    [ $got = 0 ] || grep -q "^loom: $name.json: " err.txt || fail "$name.json: $(cat err.txt)"
    count=$((count + 1))
done
refused 1 "none.json: merge 0: .*makes no ordinary token" encode x --tokenizer=none.json
refused 1 "same.json: .*another token has" encode x --tokenizer=same.json
refused 1 "far.json: .*outside 0\.\." encode x --tokenizer=far.json
refused 2 "id 4000 " decode 4000 --tokenizer=bytes-bpe
echo "$count passed, 0 failed"

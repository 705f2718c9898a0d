#!/usr/bin/env bash
# compare: bits per byte are what score says of the same tokens; each model is told of, also one that cannot be opened.
set -euo pipefail
loom=$(realpath "$1") tests=$2
golden=$tests/golden/models
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
compare() { "$loom" model compare "$@" --quiet --threads=1 --runs=0; }
has() { grep -q -- "$2" "$1" || fail "'$2' is not in $1: $(cat "$1")"; }

# Lines of 40 to 60 bytes, some of them not ASCII: with passages of 64 bytes each is one.
for i in $(seq 40); do
    case $((i % 3)) in
    0) printf 'Row %03d of the table is read, and then locked.\n' $i ;;
    1) printf 'Zeile %03d: für größere Tabellen prüfe man es.\n' $i ;;
    2) printf 'SELECT count(*) FROM t WHERE id = %03d; -- \\"x\\"\n' $i ;;
    esac
done > text
bytes=$(stat -c %s text)

# Two small models of different vocabularies.
sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' text > lines
awk '{ printf "{\"id\":\"%d\",\"content\":%s}\n", NR, $0 }' lines > documents.jsonl
for size in 270 300; do
    "$loom" tokenizer train documents.jsonl --vocab-size=$size --out=t$size --quiet > log
    "$loom" tokens build documents.jsonl --tokenizer=t$size --heldout-share=0.2 --no-table --out=k$size --quiet > log
    "$loom" pretrain --tokens=k$size --tokenizer=t$size --out=m$size --steps=3 --dim=16 --layers=1 --heads=2 \
        --kv-heads=1 --ffn-dim=16 --context=32 --batch-tokens=64 --eval-every=0 --quiet > log
done
"$loom" model export m300 --out=m300.gguf --quiet > log

# number FILE KEY N: the N-th number with this key.
number() { grep -o "\"$2\":[-0-9.e]*" "$1" | sed -n "$3p" | cut -d: -f2; }

# near A B: equal to nine digits.
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a > 0 && (d < 0 ? -d : d) < 1e-9 * a) }' || fail "$1 is not $2 ($3)"; }

# ---- bits per byte, by another way: each line's ids behind end-of-text (0), through `model score`
compare m270 m300 m300.gguf --text=text --passage-bytes=64 --json > out
[ "$(wc -l < out)" = 1 ] || fail "more than one JSON object"
has out "\"bytes\":$bytes,\"documents\":1,\"passages\":40,"
has out '"signature":"bits-per-byte|unit:byte|begin:bos,eot|passage:64|'
n=0
for size in 270 300; do
    n=$((n + 1))
    "$loom" tokenizer encode --tokenizer=t$size --lines --quiet < lines | sed 's/^\[*/0 /' > ids
    "$loom" model score m$size --json --quiet < ids | tail -1 > score
    loss=$(number score loss 1) predicted=$(number score predicted 1)
    [ "$predicted" = "$(number out tokens $n)" ] || fail "$predicted tokens, not $(number out tokens $n)"
    near "$(number out bits_per_byte $n)" "$(awk "BEGIN { printf \"%.12g\", $loss * $predicted / $bytes / log(2) }")" "bits per byte"
    near "$(number out perplexity_per_token $n)" "$(awk "BEGIN { printf \"%.12g\", exp($loss) }")" perplexity
    near "$(number out tokens_per_byte $n)" "$(awk "BEGIN { printf \"%.12g\", $predicted / $bytes }")" "tokens per byte"
    "$loom" model inspect m$size --json --quiet > facts
    for key in parameters weight_bytes kv_bytes_per_token context; do
        [ "$(number out $key $n)" = "$(number facts $key 1)" ] || fail "$key is not what inspect says"
    done
done
[ "$(number out bits_per_byte 2)" = "$(number out bits_per_byte 3)" ] || fail "another form of a model is another model"
has out '"begin":"<|endoftext|>","changed_passages":0'
[ "$(number out value 2)" = 0 ] || [ "$(number out value 1)" = 0 ] || fail "nothing is best"

# ---- the same text as documents, and only a part of it; the same for any number of threads
compare m270 --text=documents.jsonl --passage-bytes=64 --json > docs
[ "$(number docs bits_per_byte 1)" = "$(number out bits_per_byte 1)" ] || fail "documents are another text"
"$loom" model compare m270 --text=text --passage-bytes=64 --runs=0 --threads=3 --json --quiet > threads
[ "$(number threads bits_per_byte 1)" = "$(number out bits_per_byte 1)" ] || fail "threads change the result"
compare m270 --text=text --max-bytes=500 --json > part
part=$(number part bytes 1)
[ "$part" -le 500 ] && [ "$part" -gt 400 ] || fail "$part bytes were used of 500"
has part '"passages":1,'
head -n "$(head -c "$part" text | wc -l)" lines | sed 's/^"//; s/"$//' | tr -d '\n' | sed 's/.*/"&"\n/' > one
"$loom" tokenizer encode --tokenizer=t270 --lines --quiet < one | sed 's/^\[*/0 /' |
    "$loom" model score m270 --json --quiet | tail -1 > score   # longer than the context: windows overlap by half
near "$(number part bits_per_byte 1)" \
    "$(awk "BEGIN { printf \"%.12g\", $(number score loss 1) * $(number score predicted 1) / $part / log(2) }")" "long passage"

# ---- a tokenizer that puts a BOS before a text
cp -r m270 bos
sed 's/"post_processor":{[^}]*}/"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<|im_start|>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<|im_start|>":{"id":"<|im_start|>","ids":[1],"tokens":["<|im_start|>"]}}}/' \
    m270/tokenizer.json > bos/tokenizer.json
compare bos --text=text --passage-bytes=64 --json > with
has with '"begin":"<|im_start|>"'
"$loom" tokenizer encode --tokenizer=t270 --lines --quiet < lines | sed 's/^\[*/1 /' |
    "$loom" model score m270 --json --quiet | tail -1 > score
near "$(number with bits_per_byte 1)" \
    "$(awk "BEGIN { printf \"%.12g\", $(number score loss 1) * $(number score predicted 1) / $bytes / log(2) }")" "with BOS"

# ---- what cannot be compared is a row, and the others are compared all the same
! compare nowhere m300 "$golden/bert" m270 --text=text > table 2> err || fail "a missing model is no failure"
has err '^loom: 2 of 4 models could not be compared'
has table "^nowhere  *cannot open 'nowhere'"
has table 'is an encoder (bert): it predicts no text$'
has table '^m300  *[0-9]*\.[0-9]* .* none  *not said$'
tail -1 table | grep -q '^best: fewest bits per byte: m[23][70]0.*; smallest weights: m270; smallest cache: m300 = m270; ' ||
    fail "the last line is not the verdict: $(tail -1 table)"
! tail -1 table | grep -q 'nowhere\|fastest' || fail "what was not measured is best: $(tail -1 table)"
code=0
compare nowhere m300 --text=text --json > out 2> err || code=$?
[ $code = 1 ] || fail "exit $code, not 1"
has out "^{\"text\":\"text\",.*{\"model\":\"nowhere\",\"error\":\"cannot open 'nowhere'.*{\"model\":\"m300\",\"architecture\""
compare "$golden/llama.gguf" m300 --text=text > table   # its tokens do not give the text back
has table 'llama.gguf: 1 of the passages do not come back from its tokens'
tail -1 table | grep -q '^best: fewest bits per byte: m300;' || fail "a changed text wins: $(tail -1 table)"

# ---- speed, when asked for
"$loom" model compare m300 --text=text --max-bytes=200 --runs=1 --json --quiet --threads=1 > out
awk -v s="$(number out load_seconds 1)" 'BEGIN { exit !(s > 0) }' || fail "loading took no time"
has out '"decode_tokens_per_second":null'   # its context is too short

# ---- refused
refused() {
    local pattern=$1
    shift
    ! compare "$@" > out 2> err || fail "compare $* accepted what it must not"
    has err "$pattern"
}
refused '--text is missing' m300
refused "cannot open 'no-text'" m300 --text=no-text
printf 'caf\351 au lait\n' > latin1
refused 'latin1 is not UTF-8' m300 --text=latin1
: > empty
refused "'empty' holds no text" m300 --text=empty
refused 'must be between 16' m300 --text=text --passage-bytes=4
echo "ok"

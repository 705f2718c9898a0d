#!/usr/bin/env bash
# registry add: a model from elsewhere is taken with the review that judged its bytes, and with no other.
set -euo pipefail
loom=$(realpath "$1")
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
quiet() { "$loom" "$@" --quiet --threads=1 > out.txt; }
has() { grep -q -- "$2" "$1" || fail "'$2' is not in $1: $(cat "$1")"; }
# refused CODE PATTERN ARGS...
refused() {
    local want=$1 pattern=$2 code=0
    shift 2
    "$loom" "$@" --quiet > out.txt 2> err.txt || code=$?
    [ $code = "$want" ] || fail "loom $*: exit $code, not $want: $(cat err.txt)"
    has err.txt "$pattern"
}

for i in $(seq 60); do
    printf '{"id":"%d","content":"Row %03d of the table is read by %d users, and then it is locked."}\n' $i $i $((i * 7 % 11))
done > documents.jsonl
quiet tokenizer train documents.jsonl --vocab-size=270 --out=t
quiet tokens build documents.jsonl --tokenizer=t --heldout-share=0.2 --no-table --out=k
for seed in 1 2; do
    quiet pretrain --tokens=k --tokenizer=t --out=m$seed --seed=$seed --steps=2 --dim=16 --layers=1 --heads=2 --kv-heads=1 \
        --ffn-dim=16 --context=32 --batch-tokens=64 --eval-every=0
done
quiet review m1 --tokens=k --out=good --gate-bits-per-byte-ratio-max=100
refused 3 'not all gates passed' review m1 --tokens=k --out=bad --gate-bits-per-byte-ratio-max=0.001

# ---- a folder
"$loom" registry add helper m1 --review=good --json --quiet > first
has first '"version":1,'
"$loom" registry add helper m1 --review=good --json --quiet | cmp - first || fail "added again, it is another version"
artifact=$(grep -o '"artifact":"[0-9a-f]*"' first | cut -d'"' -f4)
cmp m1/model.safetensors ".loom/artifacts/$artifact/model.safetensors" || fail "the artifact is another model"
refused 3 'judged other models' registry add helper m2 --review=good
cp -r m1 touched && sed -i 's/<|im_end|>/<|im_END|>/' touched/tokenizer.json
refused 3 'judged other models' registry add helper touched --review=good
cp -r m1 moved && echo "a note" > moved/README.md   # decides nothing
"$loom" registry add helper moved --review=good --json --quiet | cmp - first || fail "a note makes another model"
quiet registry promote helper
"$loom" registry list > list
has list "^helper  *1  ${artifact:0:12}  gates passed  *champion$"
"$loom" registry card helper > card
has card '"architecture":"llama"'
has card '^| import | '

# ---- a review that did not pass
quiet registry add helper m1 --review=bad
refused 3 'did not pass all gates' registry promote helper

# ---- a GGUF file: its fingerprint is what sha256sum says; it makes its own tokens
quiet model export m2 --out=m2.gguf
quiet model import m2.gguf --out=imported
quiet tokens build documents.jsonl --tokenizer=m2.gguf --heldout-share=0.2 --no-table --out=kg
quiet review imported/m2.gguf --tokens=kg --out=file --gate-bits-per-byte-ratio-max=100
has file/review.json "\"judged\":\[{\"role\":\"base\",\"name\":\"m2.gguf\",\"sha256\":\"$(sha256sum < m2.gguf | cut -d' ' -f1)\"}\]"
"$loom" registry add file imported/m2.gguf --review=file --json --quiet > added
artifact=$(grep -o '"artifact":"[0-9a-f]*"' added | cut -d'"' -f4)
cmp m2.gguf ".loom/artifacts/$artifact/m2.gguf"
cmp imported/import.json ".loom/artifacts/$artifact/import.json" || fail "where it came from is lost"

# ---- refused
refused 2 '--review is missing' registry add helper m1
refused 1 'review.json' registry add helper m1 --review=t
mkdir broken && printf '{"judged":' > broken/review.json
refused 1 'is no record of a review' registry add helper m1 --review=broken
refused 1 'nowhere' registry add helper nowhere --review=good
echo ok

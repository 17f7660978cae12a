#!/bin/sh
# Whatever speaks OpenAI's API gains an edit memory by its base URL (pip install 'memedit[local,server]').
#
# sh examples/08_proxy.sh               a bundled small model behind the server
# sh examples/08_proxy.sh URL MODEL     any endpoint instead, such as http://localhost:11434/v1 llama3.2
set -eu
model=${2:-bundled}
port=${PORT:-8931}
folder=$(mktemp -d)
export MEMEDIT_MEMORY="$folder/memory"

cat > "$folder/keys.yaml" <<'KEYS'
keys:
- {name: support, key: support-0123456789abcdef, namespace: default, role: edit}
KEYS

if [ $# -ge 1 ]; then set -- --upstream "$1"; else set -- --llm bundled; fi
memedit serve "$@" --keys "$folder/keys.yaml" --port "$port" 2> "$folder/log" &
server=$!
trap 'kill -INT $server; wait $server; rm -r "$folder"' EXIT

call() { curl --silent --show-error --header 'authorization: Bearer support-0123456789abcdef' \
    --header 'content-type: application/json' "$@"; echo; }
ask() { call "http://127.0.0.1:$port/v1/chat/completions" --dump-header "$folder/head" --data "{\"model\": \"$model\",
    \"max_tokens\": 24, \"messages\": [{\"role\": \"user\", \"content\": \"Who is the CEO of Tallis Robotics?\"}]}"
    grep -i x-memedit "$folder/head"; }

curl --silent --retry 120 --retry-delay 1 --retry-all-errors --fail --output "$folder/ready" "http://127.0.0.1:$port/readyz"
echo "before:";    ask
echo "corrected:"; call "http://127.0.0.1:$port/memedit/edits" \
    --data '{"edit": "The CEO of Tallis Robotics is Carol Diaz.", "reason": "ticket 4711"}'
ask
echo "undone:";    call "http://127.0.0.1:$port/memedit/undo" --data '{}'
ask

#!/usr/bin/env bash
# Everything that needs a GPU, in one command and within eight minutes: first the line that decides most (an ablated
# pass beside a plain one), then the tests compiled, then the benchmarks. The last line is 'ok' or 'FAILED: ...', and the
# exit status is 0 only if every step ended well; a step that no longer fits into the time has failed.
#
#     OUT=runs/gpu tools/gpu_check.sh              everything
#     tools/gpu_check.sh kernel_tests kernels      only these steps
#
# Needs a CUDA device and the packages in tools/gpu_needs.py, which names all that are missing; no network, and nothing
# is written but to $OUT (default: runs/gpu) and to Triton's cache: summary.md, one table a benchmark, and log.txt.
# $PYTHON is the interpreter (python3), $GPU_CHECK_WORKERS the tests at once, $GPU_CHECK_SECONDS the time for all (470),
# of which every step gets its share.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
OUT="${OUT:-runs/gpu}"
PYTHON="${PYTHON:-python3}"
BUDGET="${GPU_CHECK_SECONDS:-470}"
CORES="$(nproc 2>/dev/null || echo 4)"
WORKERS="${GPU_CHECK_WORKERS:-$((CORES < 12 ? CORES : 12))}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CIRCUITSPEX_STORE=off
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1
unset TRITON_INTERPRET CIRCUITSPEX_KERNELS CIRCUITSPEX_GRAPHS
mkdir -p "${TRITON_CACHE_DIR:-${HOME:-/nowhere}/.triton}" 2>/dev/null || TRITON_CACHE_DIR="$(mktemp -d)"
[ -z "${TRITON_CACHE_DIR:-}" ] || export TRITON_CACHE_DIR

# Name, seconds that it usually takes, seconds that it may take; of 470 in all.
STEPS=(
  "first 30 75"
  "kernel_tests 45 150"
  "engine_tests 80 130"
  "edges 28 60"
  "kernels 60 130"
  "engine_smollm2 65 90"
  "engine_llama_1b 65 90"
  "engine_llama_8b 85 110"
)
# A test that hangs in the driver ends with its worker, and is named.
tests() {
  exec "$PYTHON" -m pytest -q -rfE -p no:cacheprovider -n "$WORKERS" --timeout 90 --timeout-method thread "$@"
}
engine() { # name of the table, shape, options...
  local name="$1" shape="$2"
  shift 2
  exec "$PYTHON" tools/bench/ablation.py --device cuda --dtype bfloat16 --models "$shape" --repeats 5 \
    --out "$OUT" --name "$name" "$@"
}
work() {
  case "$1" in
    first) exec "$PYTHON" tools/bench/gpu_first.py ;;
    kernel_tests) tests tests/kernels tests/models/test_word_sums.py --ignore-glob '*/test_compiled.py' ;; # that one needs no card, and takes long
    engine_tests) tests tests/ablation/test_fused*.py tests/ablation/test_card*.py tests/ablation/edges/*_gpu.py ;;
    edges) exec "$PYTHON" tools/bench/edge_passes.py --device cuda --model smollm2-135m-shape --masks 32 \
      --out "$OUT/edges.md" ;;
    kernels) exec "$PYTHON" tools/bench/gpu_kernels.py --out "$OUT/kernels.md" ;;
    engine_smollm2) engine "$1" smollm2-135m-shape --components heads+mlps neurons:64 --masks 64 1024 ;;
    engine_llama_1b) engine "$1" llama-3.2-1b --components heads+mlps --masks 512 --length 32 --prompts 1 4 ;;
    engine_llama_8b) engine "$1" llama-3.1-8b --components heads+mlps --masks 256 --length 32 ;;
  esac
}
# The steps run in a shell of their own, so that `timeout` can end them with all their children.
[ "${1:-}" != "--step" ] || work "$2"

fail() {
  echo "FAILED: $1"
  exit 1
}
share() { echo $((($1 * BUDGET + 469) / 470)); } # of the time, for so many of 470 seconds
names=""
for step in "${STEPS[@]}"; do names+=" ${step%% *}"; done
wanted=" ${*:-$names} "
for name in $wanted; do
  [[ "$names " == *" $name "* ]] || fail "there is no step '$name'; steps:$names"
done
mkdir -p "$OUT" && : >"$OUT/log.txt" && OUT="$(cd "$OUT" && pwd)" || fail "can't write to $OUT; name another folder in OUT"
export OUT PYTHON GPU_CHECK_WORKERS="$WORKERS"

machine="$(timeout -k 5 90 "$PYTHON" tools/gpu_needs.py 2>&1)" || {
  echo "$machine"
  fail "needs (nothing was run)"
}
machine="${machine##*$'\n'}" # after whatever libraries had to say
echo "$machine"
{
  printf '# A check on a GPU\n\n`tools/gpu_check.sh` on %s\n\n' "$machine"
  printf '| step | result | seconds |\n| --- | --- | --- |\n'
} >"$OUT/summary.md"

failed=() notes="" child=""
finish() {
  [ -z "$notes" ] || printf '\n%s' "$notes" >>"$OUT/summary.md"
  if ((${#failed[@]})); then
    local all
    all="$(printf ', %s' "${failed[@]}")"
    printf '\nFAILED: %s\n' "${all:2}" | tee -a "$OUT/summary.md"
    exit 1
  fi
  printf '\nok\n' | tee -a "$OUT/summary.md"
  exit 0
}
trap '[ -z "$child" ] || kill "$child"; failed+=("interrupted after $SECONDS s"); finish' INT TERM

run() { # name, seconds usually, seconds at most, seconds that later steps usually take
  local name="$1" usual="$2" most="$3" later="$4" left=$((BUDGET - SECONDS)) started=$SECONDS before result code
  local limit=$((left - later < most ? left - later : most))
  limit=$((limit > usual ? limit : usual))
  before=$(wc -c <"$OUT/log.txt")
  if ((left < usual)); then
    result="skipped: ${left} s left"
  else
    printf '\n===== %s =====\n' "$name" >>"$OUT/log.txt"
    timeout -k "$(share 5)" "$limit" bash tools/gpu_check.sh --step "$name" >>"$OUT/log.txt" 2>&1 </dev/null &
    child=$!
    wait "$child"
    code=$?
    kill -KILL -- "-$child" 2>/dev/null # what a step left running, tests' workers for example: `timeout` leads their group
    child=""
    case $code in
      0) result=ok ;;
      124 | 137) result="stopped after ${limit} s" ;;
      *) result="exit status $code" ;;
    esac
  fi
  [ "$result" = ok ] || failed+=("$name ($result)")
  printf '%-16s %-24s %4d s\n' "$name" "$result" $((SECONDS - started))
  # What decides, the tables, and what failed; of a step that went wrong without a word of it, its last lines.
  local log said
  log="$(tail -c +$((before + 1)) "$OUT/log.txt")"
  said="$(grep -aE '^(decides:|FAILED|ERROR|fallback)' <<<"$log" | head -40)"
  if [[ -z "$said" && "$result" != ok && "$result" != skipped* ]]; then
    said="$(grep -av '^=====' <<<"$log" | grep -a . | tail -n 8)"
  fi
  grep -a '^|' <<<"$log"
  [ -z "$said" ] || printf '%s\n' "$said"
  [ -z "$said" ] || notes+="$(sed 's/^/    /' <<<"$said")"$'\n'
  printf '| %s | %s | %d |\n' "$name" "$result" $((SECONDS - started)) >>"$OUT/summary.md"
}

for index in "${!STEPS[@]}"; do
  read -r name usual most <<<"${STEPS[index]}"
  [[ "$wanted" == *" $name "* ]] || continue
  later=0
  for after in "${STEPS[@]:index+1}"; do
    read -r other seconds _ <<<"$after"
    [[ "$wanted" != *" $other "* ]] || later=$((later + $(share "$seconds")))
  done
  run "$name" "$(share "$usual")" "$(share "$most")" "$later"
done
finish

#!/usr/bin/env bash
# Everything that needs a GPU, in one command and under nine minutes: kernel tests compiled, the engine's exactness on
# the GPU, and the benchmarks of kernels and engine. Prints one short table; details go to $OUT (default: runs/gpu).
#
# Needs: a CUDA build of PyTorch with its Triton, transformers, numpy, scipy, pytest, pytest-timeout, transformer-lens
# and what they import. No network: models have random weights. A real model is measured too where it is in the cache.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT="${OUT:-runs/gpu}"
PYTHON="${PYTHON:-python3}"
mkdir -p "$OUT"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 CIRCUITSPEX_STORE=off
unset TRITON_INTERPRET

"$PYTHON" - <<'P' || exit 1
import importlib, sys
missing = []
for name in ("torch", "triton", "transformers", "transformer_lens", "numpy", "scipy", "pytest", "jaxtyping", "einops"):
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing.append(f"{name} ({error})")
if missing:
    sys.exit("gpu_check: bring along: " + ", ".join(missing))
import torch
if not torch.cuda.is_available():
    sys.exit("gpu_check: this machine has no CUDA device; the kernels are tested in Triton's interpreter by `make test`")
import triton
print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}")
P

step() { # name, seconds, command...
  local name="$1" limit="$2" started=$SECONDS
  shift 2
  timeout "$limit" "$@" >"$OUT/$name.log" 2>&1
  local code=$?
  printf '%-28s %-8s %4d s\n' "$name" "$([ $code -eq 0 ] && echo ok || echo "FAILED($code)")" $((SECONDS - started))
  return $code
}

step kernel_tests 120 "$PYTHON" -m pytest -q -p no:cacheprovider tests/kernels
step engine_exactness 90 "$PYTHON" -m pytest -q -p no:cacheprovider tests/ablation/test_fused_gpu.py
step kernels_bench 90 "$PYTHON" tools/bench/kernels.py
step engine_bench_small 90 "$PYTHON" tools/bench/ablation.py --device cuda --dtype bfloat16 --models smollm2-135m-shape \
  --components heads heads+mlps neurons:64 --masks 1024 --repeats 3
step engine_bench_large 120 "$PYTHON" tools/bench/ablation.py --device cuda --dtype bfloat16 --models llama-3.2-1b \
  --components heads+mlps --masks 512 --length 32 --repeats 3
echo
grep -h '^|' "$OUT"/kernels_bench.log "$OUT"/engine_bench_*.log || echo "no table: see $OUT"
grep -hE '^(FAILED|ERROR)' "$OUT"/*_tests.log "$OUT"/engine_exactness.log | head -20
exit 0

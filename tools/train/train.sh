#!/usr/bin/env bash
# Trains the project's own demo models: corpus, vocabulary, trainer, training, judgement.
#
#   tools/train/train.sh [demo-small-hf] [demo-hf]        (both, if none is named)
#
# Writes build/train/demo-hf and build/train/demo-small-hf (Hugging Face folders) and a log beside
# each. About 20 minutes on two free cores; OTR_TRAIN_THREADS=1 leaves one of them alone. A run that
# was interrupted goes on from its last checkpoint; a model that is there is only judged again, so
# delete its folder to train it anew. Needs libopenblas-dev beside the packages of ./run.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."
out=build/train
threads=${OTR_TRAIN_THREADS:-2}

# The threshold of quality, the same each time: training stops when the held-out loss reaches it
# (the third word), and fails if it does not within the steps. At least so many percent of the
# held-out questions must then be answered well (the last word).
plan() { # model -> steps, peak rate, stop loss, percent
  case $1 in
    demo-hf) echo "12000 2e-3 0.215 80" ;;
    demo-small-hf) echo "12000 3e-3 0.25 75" ;;
    *)
      echo "train.sh: no model $1; there are demo-hf and demo-small-hf" >&2
      exit 2
      ;;
  esac
}

# The trainer runs its own threads. Debian's OpenBLAS does not know every processor by name.
export OPENBLAS_NUM_THREADS=1
if grep -qw avx512f /proc/cpuinfo; then export OPENBLAS_CORETYPE=SKYLAKEX; fi

models=("$@")
if ((${#models[@]} == 0)); then models=(demo-small-hf demo-hf); fi
for model in "${models[@]}"; do plan "$model" >/dev/null; done

cmake --preset release -B "$out/cmake" >"$out.log" || { cat "$out.log" >&2 && exit 2; }
cmake --build "$out/cmake" --target otr_train
trainer=$(find "$out/cmake" -name otr_train -type f -perm -u+x)
"$trainer" --check-gradients

python3 tools/train/corpus.py "$out/corpus"
python3 tools/train/vocabulary.py "$out/corpus" "${models[@]/#/$out/}"
for model in "${models[@]}"; do
  read -r steps rate stop percent < <(plan "$model")
  if [[ ! -e $out/$model/model.safetensors ]]; then
    nice -n 10 "$trainer" --model "$out/$model" --tokens "$out/corpus" --steps "$steps" \
      --peak-rate "$rate" --stop-loss "$stop" --threads "$threads" | tee -a "$out/$model.log"
  fi
  python3 tools/train/quality.py "$trainer" "$out/$model" "$out/corpus" --minimum "$percent"
done

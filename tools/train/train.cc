// otr_train: trains, tests and runs the project's own demo models in floating point on the CPU.
//
//   otr_train --check-gradients
//   otr_train --model DIR --tokens DIR [--steps N] [--stop-loss X] [--threads T] ...
//   otr_train --model DIR --generate < prompts        (one prompt per line: token ids)
//
// DIR is a Hugging Face model folder that vocabulary.py prepared: config.json gives the shape,
// training adds model.safetensors. The tokens folder holds train.bin and heldout.bin. The usual way
// in is tools/train/train.sh, which also writes the corpus and the vocabulary.
//
// Training is AdamW (0.9, 0.98, decay 0.1 on matrices) with linear warm-up, a cosine schedule down
// to a tenth of the peak, and gradients clipped at norm 1. A step takes whole documents, in an
// order shuffled anew each epoch, as two shards of about half the batch's tokens; shards may run on
// two threads but are always two and are added in order, so the result does not depend on the
// number of threads. It does depend on the CPU and on the BLAS: what is fixed is corpus, order and
// rule of stopping, not the bits of the weights. Training stops when the held-out loss (mean -log p
// over answer tokens of questions in wordings never trained on) reaches --stop-loss, or at --steps.
// Every evaluation writes a checkpoint beside the model; a run that finds one goes on from it.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gradient_check.h"
#include "llama.h"
#include "model_files.h"

namespace otr::train {
namespace {

constexpr int kBos = 0;  // ids fixed by vocabulary.py
constexpr int kEos = 1;
constexpr size_t kShards = 2;
constexpr float kPromptWeight = 0.1f;

struct Options {
  std::string model, tokens;
  bool check = false, generate = false;
  uint64_t steps = 1000, seed = 1, evaluate_every = 1000, warm_up = 200;
  size_t batch_tokens = 512, threads = 1, max_new = 200;
  double peak_rate = 2e-3, stop_loss = 0, temperature = 0;
};

Result<Options> parse_options(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--check-gradients" || flag == "--generate") {
      (flag == "--generate" ? o.generate : o.check) = true;
      continue;
    }
    if (i + 1 == argc) return fail(ErrorKind::kUsage, "no value for, or unknown flag, " + flag);
    const char* value = argv[++i];
    if (flag == "--model")
      o.model = value;
    else if (flag == "--tokens")
      o.tokens = value;
    else if (flag == "--steps")
      o.steps = std::strtoull(value, nullptr, 10);
    else if (flag == "--seed")
      o.seed = std::strtoull(value, nullptr, 10);
    else if (flag == "--evaluate-every")
      o.evaluate_every = std::strtoull(value, nullptr, 10);
    else if (flag == "--batch-tokens")
      o.batch_tokens = std::strtoull(value, nullptr, 10);
    else if (flag == "--threads")
      o.threads = std::strtoull(value, nullptr, 10);
    else if (flag == "--max-new")
      o.max_new = std::strtoull(value, nullptr, 10);
    else if (flag == "--peak-rate")
      o.peak_rate = std::strtod(value, nullptr);
    else if (flag == "--stop-loss")
      o.stop_loss = std::strtod(value, nullptr);
    else if (flag == "--temperature")
      o.temperature = std::strtod(value, nullptr);
    else
      return fail(ErrorKind::kUsage, "unknown flag " + flag);
  }
  if (!o.check && (o.model.empty() || (o.tokens.empty() && !o.generate))) {
    return fail(ErrorKind::kUsage,
                "give --model and --tokens, --model and --generate, or "
                "--check-gradients");
  }
  if (o.batch_tokens < 64 || o.threads < 1 || o.evaluate_every < 1) {
    return fail(ErrorKind::kUsage, "batch tokens, threads or interval out of range");
  }
  return o;
}

void append(Batch& batch, const Document& document) {
  if (batch.starts.empty()) batch.starts.push_back(0);
  for (size_t i = 0; i + 1 < document.size(); ++i) {
    batch.tokens.push_back(document[i] & kIdMask);
    batch.targets.push_back(document[i + 1] & kIdMask);
    batch.weights.push_back((document[i + 1] & kPromptBit) != 0 ? kPromptWeight : 1.0f);
  }
  batch.starts.push_back(static_cast<int>(batch.tokens.size()));
}

// Deals out the documents, each once per epoch, in an order that depends on seed and epoch only.
class Dealer {
 public:
  Dealer(const std::vector<Document>& documents, uint64_t seed, TrainingState& state)
      : documents_(documents), seed_(seed), state_(state), order_(documents.size()) {
    shuffle();
  }

  Batch deal(size_t tokens) {
    Batch batch;
    while (batch.tokens.size() < tokens) {
      if (state_.cursor == order_.size()) {
        state_.cursor = 0;
        ++state_.epoch;
        shuffle();
      }
      append(batch, documents_[order_[state_.cursor++]]);
    }
    return batch;
  }

 private:
  void shuffle() {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::mt19937_64 random(seed_ * 1000003 + state_.epoch);
    for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random() % i]);
  }

  const std::vector<Document>& documents_;
  uint64_t seed_;
  TrainingState& state_;
  std::vector<size_t> order_;
};

class Trainer {
 public:
  Trainer(const Options& options, const Shape& shape, TrainingState& state)
      : options_(options), state_(state), decays_(state.params.size(), false) {
    for (size_t i = 0; i < kShards; ++i) {
      shards_[i].network = std::make_unique<Network<float>>(shape);
      shards_[i].grads.resize(state.params.size());
    }
    for (const NamedTensor& t : named_tensors(shape)) {
      const auto begin = decays_.begin() + static_cast<std::ptrdiff_t>(t.offset);
      if (t.cols != 0) std::fill(begin, begin + std::ptrdiff_t{t.rows} * t.cols, true);
    }
  }

  // Returns the mean training loss of the step.
  double step(Dealer& dealer) {
    double weight = 0;
    for (Shard& shard : shards_) {
      shard.batch = dealer.deal(options_.batch_tokens / kShards);
      weight += std::accumulate(shard.batch.weights.begin(), shard.batch.weights.end(), 0.0);
    }
    on_shards([&](Shard& shard) {
      std::fill(shard.grads.begin(), shard.grads.end(), 0.0f);
      shard.loss = shard.network->forward(state_.params.data(), shard.batch);
      shard.network->backward(state_.params.data(), shard.batch, static_cast<float>(1 / weight),
                              shard.grads.data());
    });
    update();
    return (shards_[0].loss + shards_[1].loss) / weight;
  }

  // Mean -log p over the answer tokens of the documents.
  double evaluate(const std::vector<Document>& documents) {
    double loss = 0;
    double weight = 0;
    for (size_t next = 0; next < documents.size();) {
      for (Shard& shard : shards_) {
        shard.batch = Batch();
        while (next < documents.size() && shard.batch.tokens.size() < options_.batch_tokens) {
          append(shard.batch, documents[next++]);
        }
        for (float& w : shard.batch.weights) w = w == 1.0f ? 1.0f : 0.0f;
        weight += std::accumulate(shard.batch.weights.begin(), shard.batch.weights.end(), 0.0);
      }
      on_shards([&](Shard& shard) {
        shard.loss = shard.network->forward(state_.params.data(), shard.batch);
      });
      loss += shards_[0].loss + shards_[1].loss;
    }
    return loss / weight;
  }

 private:
  struct Shard {
    std::unique_ptr<Network<float>> network;
    Batch batch;
    std::vector<float> grads;
    double loss = 0;
  };

  template <class Work>
  void on_shards(const Work& work) {
    if (options_.threads == 1) {
      for (Shard& shard : shards_) work(shard);
      return;
    }
    std::jthread other([&] { work(shards_[1]); });
    work(shards_[0]);
  }

  double rate() const {
    const double t = static_cast<double>(state_.step);
    const double warm = static_cast<double>(options_.warm_up);
    if (t < warm) return options_.peak_rate * (t + 1) / warm;
    const double done = (t - warm) / std::max(1.0, static_cast<double>(options_.steps) - warm);
    return options_.peak_rate * (0.1 + 0.45 * (1 + std::cos(M_PI * std::min(1.0, done))));
  }

  void update() {
    std::vector<float>& grads = shards_[0].grads;
    double norm = 0;
    for (size_t i = 0; i < grads.size(); ++i) {
      grads[i] += shards_[1].grads[i];
      norm += static_cast<double>(grads[i]) * static_cast<double>(grads[i]);
    }
    const float clip = static_cast<float>(std::min(1.0, 1 / (std::sqrt(norm) + 1e-12)));
    const float rate_now = static_cast<float>(rate());
    const double t = static_cast<double>(state_.step + 1);
    const float correct1 = static_cast<float>(1 / (1 - std::pow(0.9, t)));
    const float correct2 = static_cast<float>(1 / (1 - std::pow(0.98, t)));
    for (size_t i = 0; i < grads.size(); ++i) {
      const float g = grads[i] * clip;
      float& m = state_.first_moment[i];
      float& v = state_.second_moment[i];
      m = 0.9f * m + 0.1f * g;
      v = 0.98f * v + 0.02f * g * g;
      const float decay = decays_[i] ? 0.1f * state_.params[i] : 0.0f;
      state_.params[i] -= rate_now * (m * correct1 / (std::sqrt(v * correct2) + 1e-8f) + decay);
    }
    ++state_.step;
  }

  const Options& options_;
  TrainingState& state_;
  std::vector<char> decays_;
  std::array<Shard, kShards> shards_;
};

uint64_t fingerprint(const Options& o, const std::vector<Document>& documents) {
  uint64_t hash = 1469598103934665603u;
  auto mix = [&hash](uint64_t word) { hash = (hash ^ word) * 1099511628211u; };
  for (uint64_t word : {o.steps, o.seed, uint64_t{o.batch_tokens}, o.warm_up}) mix(word);
  mix(static_cast<uint64_t>(o.peak_rate * 1e9));
  for (const Document& d : documents) {
    for (uint16_t word : d) mix(word);
  }
  return hash;
}

Status train(const Options& o) {
  OTR_TRY_ASSIGN(const Shape shape, read_shape(o.model));
  OTR_TRY_ASSIGN(const auto documents, read_documents(o.tokens + "/train.bin", shape, kBos));
  OTR_TRY_ASSIGN(const auto heldout, read_documents(o.tokens + "/heldout.bin", shape, kBos));
  TrainingState state;
  initialise(shape, o.seed, state.params);
  state.first_moment.assign(state.params.size(), 0.0f);
  state.second_moment.assign(state.params.size(), 0.0f);
  state.fingerprint = fingerprint(o, documents);
  const std::string checkpoint = o.model + "/train.checkpoint";
  OTR_TRY_ASSIGN(const bool resumed, read_checkpoint(checkpoint, state));
  std::printf("%zu parameters, %zu documents, from step %llu%s\n", state.params.size(),
              documents.size(), static_cast<unsigned long long>(state.step),
              resumed ? " (resumed)" : "");

  Dealer dealer(documents, o.seed, state);
  Trainer trainer(o, shape, state);
  const auto start = std::chrono::steady_clock::now();
  const uint64_t first_step = state.step;
  double recent = 0;
  bool good = false;
  while (state.step < o.steps && !good) {
    const double loss = trainer.step(dealer);
    recent = recent == 0 ? loss : 0.99 * recent + 0.01 * loss;
    if (state.step % o.evaluate_every != 0 && state.step != o.steps) continue;
    const double heldout_loss = trainer.evaluate(heldout);
    good = heldout_loss <= o.stop_loss;
    const double spent =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double left = spent / static_cast<double>(state.step - first_step) *
                        static_cast<double>(o.steps - state.step);
    std::printf("step %llu/%llu epoch %llu train %.4f heldout %.4f spent %.0f s left %.0f s\n",
                static_cast<unsigned long long>(state.step),
                static_cast<unsigned long long>(o.steps),
                static_cast<unsigned long long>(state.epoch), recent, heldout_loss, spent, left);
    OTR_TRY(write_checkpoint(checkpoint, state));
  }
  OTR_TRY(write_model(o.model, shape, state.params));
  std::filesystem::remove(checkpoint);
  if (!good && o.stop_loss > 0) {
    return fail(ErrorKind::kReject, "the step limit came before the held-out loss reached " +
                                        std::to_string(o.stop_loss) + "; the model is written.");
  }
  return {};
}

int choose(const float* probabilities, int vocab, double temperature, std::mt19937_64& random) {
  if (temperature <= 0) {
    return static_cast<int>(std::max_element(probabilities, probabilities + vocab) - probabilities);
  }
  std::vector<double> heaps;
  double sum = 0;
  for (int i = 0; i < vocab; ++i) {
    sum += std::pow(static_cast<double>(probabilities[i]), 1 / temperature);
    heaps.push_back(sum);
  }
  const double at = static_cast<double>(random() >> 11) * 0x1.0p-53 * sum;
  const auto it = std::upper_bound(heaps.begin(), heaps.end(), at);
  return static_cast<int>(std::min<std::ptrdiff_t>(it - heaps.begin(), vocab - 1));
}

// Runs the whole sequence anew for each token: slow and simple, for judging quality only.
Status generate(const Options& o) {
  OTR_TRY_ASSIGN(const Shape shape, read_shape(o.model));
  OTR_TRY_ASSIGN(const std::vector<float> params, read_model(o.model, shape));
  Network<float> network(shape);
  std::mt19937_64 random(o.seed);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    Batch batch;
    for (int id = 0; in >> id;) {
      if (id < 0 || id >= shape.vocab) return fail(ErrorKind::kUsage, "no such id: " + line);
      batch.tokens.push_back(id);
    }
    if (batch.tokens.empty()) return fail(ErrorKind::kUsage, "a prompt needs at least one id");
    for (size_t made = 0; made < o.max_new; ++made) {
      if (batch.tokens.size() >= static_cast<size_t>(shape.context)) break;
      batch.targets.assign(batch.tokens.size(), 0);
      batch.weights.assign(batch.tokens.size(), 0.0f);
      batch.starts = {0, static_cast<int>(batch.tokens.size())};
      network.forward(params.data(), batch);
      const int id = choose(network.probabilities(batch.tokens.size() - 1), shape.vocab,
                            o.temperature, random);
      if (id == kEos) break;
      std::printf("%d ", id);
      batch.tokens.push_back(id);
    }
    std::printf("\n");
  }
  return {};
}

Status check() {
  OTR_TRY_ASSIGN(const double worst, check_gradients());
  std::printf("gradients agree; largest relative difference %.2g\n", worst);
  return {};
}

Status run(int argc, char** argv) {
  OTR_TRY_ASSIGN(const Options options, parse_options(argc, argv));
  if (options.check) return check();
  return options.generate ? generate(options) : train(options);
}

}  // namespace
}  // namespace otr::train

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  const otr::Status status = otr::train::run(argc, argv);
  if (status) return 0;
  std::fprintf(stderr, "otr_train: %s\n", status.error().message.c_str());
  return status.error().kind == otr::ErrorKind::kReject ? 1 : 2;
}

// otr ask: a prompt in, an answer and its receipt out, computed on this machine.

#include <algorithm>
#include <cstdio>

#include "apps/command.h"
#include "apps/ladder.h"
#include "apps/prompt.h"
#include "apps/sampling_flags.h"
#include "base/hex.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/signal.h"
#include "node/keys.h"
#include "node/worker.h"
#include "protocol/finish.h"
#include "text/utf8.h"
#include "trace/header.h"

namespace otr::apps {
namespace {

struct AskFlags {
  std::string model, prompt, receipt, home;
  SamplingFlags sampling;
  std::vector<std::string> stop;
  std::uint32_t max_tokens = 256;
  unsigned threads = default_threads();
  bool raw = false;
  bool json = false;
};

// Refused before a counter is spent on it; here it is not a cheat, but a flag to change.
Status check_request(const protocol::Request& request, const Prompt& prompt,
                     const machine::Shape& shape) {
  if (prompt.ids.size() >= shape.context) {
    return fail(ErrorKind::kUsage, "the prompt has " + std::to_string(prompt.ids.size()) +
                                       " tokens; this model takes at most " +
                                       std::to_string(shape.context - 1) + ": shorten it");
  }
  Status status = protocol::check_ranges(request);
  if (status) status = protocol::check_ranges_of_model(request, prompt.ids, shape);
  if (!status) status.error().kind = ErrorKind::kUsage;
  return status;
}

Result<protocol::SignedRequest> make_request(const AskFlags& flags, const model::Artifact& artifact,
                                             const Prompt& prompt, const node::Home& home) {
  OTR_TRY_ASSIGN(const crypto::PrivateKey client, home.key("client"));
  OTR_TRY_ASSIGN(const machine::Sampling sampling, to_sampling(flags.sampling));
  protocol::SignedRequest signed_request;
  protocol::Request& request = signed_request.request;
  request.client = client.address();
  request.model_root = artifact.root();
  request.prompt_root = trace::token_root(prompt.ids);
  request.prompt_count = static_cast<std::uint32_t>(prompt.ids.size());
  request.max_tokens = std::min(flags.max_tokens, artifact.view().shape.context);
  request.sampling = sampling;
  request.stop = flags.stop;
  std::ranges::sort(request.stop);
  request.stop.erase(std::ranges::unique(request.stop).begin(), request.stop.end());
  request.deadline = static_cast<std::uint64_t>(env::unix_seconds() + 3600);
  OTR_TRY(check_request(request, prompt, artifact.view().shape));
  OTR_TRY_ASSIGN(request.counter, home.next_counter());
  request.task_id = protocol::task_id(request.client, request.counter);
  signed_request.signature = client.sign(protocol::digest_of(request, Hash{}));
  return signed_request;
}

// Prints the answer as it comes, a whole character at a time, without the space that SentencePiece
// puts before the first word.
class Stream {
 public:
  Stream(const machine::Model& model, bool on) : model_(model), on_(on) {}
  void push(std::uint32_t id) {
    ids_.push_back(id);
    show(utf8_.push(as_text(protocol::token_bytes(model_, id))));
  }
  void finish() { show(utf8_.finish() + "\n"); }
  const std::vector<std::uint32_t>& ids() const { return ids_; }

 private:
  void show(std::string text) {
    if (!on_ || text.empty()) return;
    if (std::exchange(first_, false) && text.starts_with(' ')) text.erase(0, 1);
    // A reader that went away ends the output, not the computation: the receipt is still due.
    on_ = print(text).has_value();
  }

  const machine::Model& model_;
  bool on_;
  bool first_ = true;
  text::Utf8Stream utf8_;
  std::vector<std::uint32_t> ids_;
};

Json to_json(const protocol::Receipt& receipt, const node::Audit& audit, double seconds) {
  return {{"text", receipt.output_text},
          {"prompt_tokens", receipt.prompt_ids.size()},
          {"output_tokens", receipt.output_ids.size()},
          {"finish_reason", receipt.claim.finish_reason},
          {"model_root", to_hex(receipt.request.request.model_root)},
          {"trace_root", to_hex(receipt.claim.trace_root)},
          {"milliseconds", static_cast<std::int64_t>(seconds * 1000)},
          {"ladder", to_json(ladder(audit, true))}};
}

Result<int> ask(const AskFlags& flags) {
  if (!flags.receipt.empty()) OTR_TRY(check_can_write("--receipt", flags.receipt));
  OTR_TRY_ASSIGN(model::Artifact artifact, load_model(flags.model));
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, text::Tokenizer::parse(artifact.tokenizer()));
  OTR_TRY_ASSIGN(const Prompt prompt, encode_prompt(artifact, tokenizer, flags.prompt, flags.raw));
  std::filesystem::path folder = flags.home;
  if (folder.empty()) {
    OTR_TRY_ASSIGN(folder, node::Home::default_folder());
  }
  OTR_TRY_ASSIGN(const node::Home home, node::Home::open(folder));
  OTR_TRY_ASSIGN(const protocol::SignedRequest request,
                 make_request(flags, artifact, prompt, home));
  OTR_TRY_ASSIGN(crypto::PrivateKey session_key, node::new_session_key());
  OTR_TRY_ASSIGN(crypto::PrivateKey operator_key, home.key("operator"));

  const engine::PackedModel packed = pack(artifact, flags.threads);
  node::Worker worker(artifact, packed, std::move(session_key), std::move(operator_key),
                      flags.threads);
  Stream stream(artifact.view(), !flags.json);
  const std::int64_t begin = env::monotonic_ns();
  auto answered = worker.serve(
      request, prompt.ids, [&](std::uint32_t id) { stream.push(id); }, env::interrupted);
  stream.finish();
  if (!answered) return std::unexpected(std::move(answered).error());
  const double seconds = static_cast<double>(env::monotonic_ns() - begin) / 1e9;

  // The client's own look at what it was given, as if it came from a stranger.
  OTR_TRY_ASSIGN(const std::string text, protocol::encode_receipt(*answered));
  const node::Audit audit = node::audit(text, artifact, {});
  const bool stream_is_receipts = stream.ids() == answered->output_ids;
  if (!flags.receipt.empty()) {
    OTR_TRY(env::write_file_atomically(flags.receipt, as_bytes(text), 0644));
  }
  if (flags.json) {
    OTR_TRY(print(to_json(*answered, audit, seconds).dump() + "\n"));
  } else {
    const std::size_t count = answered->output_ids.size();
    std::string summary = "\n" + std::to_string(prompt.ids.size()) + " prompt tokens, " +
                          std::to_string(count) + " output tokens, " +
                          std::to_string(static_cast<int>(static_cast<double>(count) / seconds)) +
                          " tokens/s with trace and signatures\n";
    summary += to_text(ladder(audit, stream_is_receipts));
    if (!flags.receipt.empty()) {
      summary += "Receipt: " + flags.receipt + "  (check it: otr verify " + flags.receipt +
                 " --model " + flags.model + " --recompute)\n";
    }
    OTR_TRY(print(summary));
  }
  return audit.failed() || !stream_is_receipts ? kFailed : kOk;
}

}  // namespace

void add_ask(CLI::App& app, Run& run) {
  auto flags = std::make_shared<AskFlags>();
  CLI::App* command = app.add_subcommand("ask", "Answer a prompt and write a receipt");
  command
      ->add_option("prompt", flags->prompt,
                   "The question, or the text to go on with where the model has no chat template")
      ->required();
  command->add_option("--model", flags->model, "Model artifact (otr model import makes one)")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command->add_option("--max-tokens", flags->max_tokens, "Most tokens of the answer")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--temperature", flags->sampling.temperature,
                   "0 takes the likeliest token each time; else 0.006 to 100")
      ->capture_default_str();
  command->add_option("--seed", flags->sampling.seed,
                      "Reproduces a sampled answer: a number, or 0x and 64 digits");
  command->add_option("--top-k", flags->sampling.top_k, "Keep the k likeliest tokens; 0 is all")
      ->capture_default_str();
  command->add_option("--top-p", flags->sampling.top_p, "Keep the likeliest tokens of this mass")
      ->capture_default_str();
  command
      ->add_option("--min-p", flags->sampling.min_p,
                   "Drop tokens less likely than this share of the likeliest")
      ->capture_default_str();
  command
      ->add_option("--presence-penalty", flags->sampling.presence_penalty,
                   "Taken from the logit of tokens already written")
      ->capture_default_str();
  command
      ->add_option("--frequency-penalty", flags->sampling.frequency_penalty,
                   "The same for each time one was written")
      ->capture_default_str();
  command->add_option("--stop", flags->stop, "End after this text; give it up to four times")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command->add_option("--receipt", flags->receipt, "Write the receipt to this file")
      ->type_name("FILE");
  command
      ->add_option("--home", flags->home,
                   "Folder of the keys (default: $OTR_HOME, else $XDG_DATA_HOME/otr, else "
                   "~/.local/share/otr)")
      ->type_name("DIR");
  command->add_option("--threads", flags->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->add_flag("--raw", flags->raw, "Do not apply the model's chat template");
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = ask(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

// otr ask: a prompt in, an answer (or several) and its receipt out, computed on this machine or,
// with --url, by the workers of a gateway and verified here.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "apps/command.h"
#include "apps/logprobs.h"
#include "apps/prompt.h"
#include "apps/sampling_flags.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "client/connection.h"
#include "client/ladder.h"
#include "client/request.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/signal.h"
#include "node/audit.h"
#include "node/inference.h"
#include "node/keys.h"
#include "protocol/answer_text.h"
#include "protocol/wire.h"
#include "service/request_signer.h"

namespace otr::apps {
namespace {

struct RemoteFlags {
  std::string url, policy = "genuine", key_file, ca_file;
  bool open = false;  // prompts that the gateway can read
};

struct AskFlags {
  std::string model, prompt, system, receipt, home;
  SamplingFlags sampling;
  RemoteFlags remote;
  std::vector<std::string> stop;
  std::uint32_t max_tokens = 256;
  std::uint32_t n = 1;
  std::optional<unsigned> logprobs;  // how many of the likeliest, where asked for
  unsigned threads = default_threads();
  bool raw = false;
  bool json = false;

  bool is_remote() const { return !remote.url.empty(); }
  bool is_sealed() const { return is_remote() && !remote.open; }

  // The file of answer i of n: of several, R.json stands for R-1.json, R-2.json and so on.
  std::filesystem::path receipt_file(std::size_t i) const {
    std::filesystem::path file = receipt;
    if (n == 1) return file;
    const std::string name = file.stem().string() + "-" + std::to_string(i + 1);
    return file.replace_filename(name + file.extension().string());
  }
};

// One request for each answer asked for (SPEC REQ-7).
Result<std::vector<protocol::SignedRequest>> make_requests(const AskFlags& flags,
                                                           const model::Artifact& artifact,
                                                           const Prompt& prompt,
                                                           const node::Home& home,
                                                           const Hash& ledger) {
  OTR_TRY_ASSIGN(const machine::Sampling sampling, to_sampling(flags.sampling));
  OTR_TRY_ASSIGN(const auto of_each, of_answers(sampling, flags.n));
  OTR_TRY_ASSIGN(const auto signer, service::RequestSigner::open(home));
  std::vector<protocol::SignedRequest> requests;
  client::Wish wish{.prompt_ids = prompt.ids,
                    .max_tokens = flags.max_tokens,
                    .stop = flags.stop,
                    .sealed = flags.is_sealed()};
  for (const machine::Sampling& one : of_each) {
    wish.sampling = one;
    OTR_TRY_ASSIGN(requests.emplace_back(), client::make_request(wish, artifact, ledger, *signer));
  }
  return requests;
}

// Takes the answer as it comes and prints its text, without the space that SentencePiece puts
// before the first word.
class Stream {
 public:
  Stream(const machine::Model& model, const protocol::Request& request, bool on)
      : answer_(model, request), on_(on) {}
  void push(std::uint32_t id) {
    ids_.push_back(id);
    show(answer_.push(id));
  }
  void finish() {
    show(answer_.finish());
    if (on_) on_ = print("\n").has_value();
  }
  const std::vector<std::uint32_t>& ids() const { return ids_; }
  const std::string& text() const { return text_; }

 private:
  void show(std::string text) {
    const bool first = text_.empty();
    text_ += text;
    if (!on_ || text.empty()) return;
    if (first && text.starts_with(' ')) text.erase(0, 1);
    // A reader that went away ends the output, not the computation: the receipt is still due.
    on_ = print(text).has_value();
  }

  protocol::AnswerText answer_;
  bool on_;
  std::string text_;
  std::vector<std::uint32_t> ids_;
};

// What the engine's thread tells of several answers, for a reader who takes one after another.
class Incoming {
 public:
  explicit Incoming(std::size_t count) : answers_(count) {}

  void token(std::size_t i, const node::TokenInfo& token) {
    const std::lock_guard lock(mutex_);
    answers_[i].tokens.push_back(token);
    changed_.notify_one();
  }
  void done(std::size_t i, Result<protocol::Receipt> outcome) {
    const std::lock_guard lock(mutex_);
    answers_[i].outcome = std::move(outcome);
    answers_[i].done_ns = env::monotonic_ns();
    changed_.notify_one();
  }

  struct News {
    std::vector<node::TokenInfo> tokens;
    std::optional<Result<protocol::Receipt>> outcome;
    std::int64_t done_ns = 0;
  };
  // What is new of answer i; waits for it, but not so long that a signal would have to wait.
  News next(std::size_t i) {
    std::unique_lock lock(mutex_);
    News& news = answers_[i];
    changed_.wait_for(lock, std::chrono::milliseconds(50),
                      [&] { return news.outcome || !news.tokens.empty(); });
    return std::exchange(news, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<News> answers_;
};

// All answers of a command, which run together and share the prompt.
struct Answering {
  const AskFlags& flags;
  const model::Artifact& artifact;
  const Prompt& prompt;
  std::vector<protocol::SignedRequest> requests;
  crypto::PrivateKey operator_key;
  Incoming incoming{requests.size()};
  std::unique_ptr<node::InferenceService> service = nullptr;  // ends before `incoming`
  std::vector<node::InferenceService::Id> ids = {};
  std::unique_ptr<client::Connection> remote = nullptr;  // of the two one is there
  std::vector<std::shared_ptr<service::UpstreamCall>> calls = {};
  std::int64_t begin_ns = 0;

  void cancel() {
    for (const auto id : ids) service->cancel(id);
    for (const auto& call : calls) {
      if (call) call->cancel();
    }
  }
};

// Memory for as many whole answers as run at a time.
node::InferenceOptions options_for(const Answering& answering) {
  const machine::Shape& shape = answering.artifact.view().shape;
  node::InferenceOptions options{.threads = answering.flags.threads};
  engine::SchedulerOptions& scheduler = options.scheduler;
  scheduler.max_sequences = std::min(answering.requests.size(), scheduler.max_sequences);
  scheduler.prefix_cache = answering.requests.size() > 1;
  // A prefix is shared page by page.
  if (scheduler.prefix_cache) scheduler.max_rows = engine::kTilePositions;
  const std::size_t positions = std::min<std::size_t>(
      shape.context, answering.prompt.ids.size() + answering.requests[0].request.max_tokens);
  scheduler.kv_budget_bytes = scheduler.max_sequences * (positions / engine::kTilePositions + 1) *
                              engine::KvPage::size_bytes(shape);
  options.max_waiting = answering.requests.size();
  return options;
}

Result<protocol::Receipt> to_receipt(const Answering& answering, std::size_t i,
                                     Result<node::Finished> done) {
  if (!done) return std::unexpected(std::move(done).error());
  return node::make_receipt(answering.requests[i], answering.prompt.ids, *std::move(done),
                            answering.artifact.view(), answering.operator_key);
}

node::TokenInfo to_info(const protocol::TokenMessage& token) {
  node::TokenInfo info{.id = token.id, .logprobs = std::nullopt};
  if (token.logprobs.empty()) return info;
  const auto one = [](const protocol::TokenLogprob& from) {
    return node::TokenLogprob{.id = from.id, .logprob = static_cast<double>(from.micro_nats) / 1e6};
  };
  info.logprobs.emplace(
      node::TokenLogprobs{.chosen = one(token.logprobs.front()), .likeliest = {}});
  for (std::size_t i = 1; i < token.logprobs.size(); ++i) {
    info.logprobs->likeliest.push_back(one(token.logprobs[i]));
  }
  return info;
}

Result<std::unique_ptr<client::Connection>> connect(const RemoteFlags& flags) {
  client::ConnectionOptions options{.url = flags.url, .ca_file = flags.ca_file};
  OTR_TRY_ASSIGN(const std::string policy, read_policy(flags.policy));
  OTR_TRY_ASSIGN(options.policy, attest::parse_policy(policy));
  OTR_TRY_ASSIGN(options.api_key, read_api_key(flags.key_file));
  return client::Connection::open(std::move(options));
}

Status begin_remote(Answering& answering,
                    const std::shared_ptr<const service::AppraisedSession>& session) {
  answering.begin_ns = env::monotonic_ns();
  Incoming& incoming = answering.incoming;
  for (std::size_t i = 0; i < answering.requests.size(); ++i) {
    answering.calls.push_back(client::submit(
        answering.remote->upstream(), session,
        {.session = session->id,
         .request = answering.requests[i],
         .prompt_ids = answering.prompt.ids,
         .logprobs = answering.flags.logprobs},
        answering.artifact,
        {.on_token = [&incoming, i](const auto& token) { incoming.token(i, to_info(token)); },
         .on_done = [&incoming, i](auto receipt) { incoming.done(i, std::move(receipt)); }}));
  }
  return {};
}

Status begin(Answering& answering, const engine::PackedModel& packed,
             crypto::PrivateKey session_key) {
  OTR_TRY_ASSIGN(answering.service, node::InferenceService::start(answering.artifact, packed,
                                                                  {.key = std::move(session_key)},
                                                                  options_for(answering)));
  answering.begin_ns = env::monotonic_ns();
  Incoming& incoming = answering.incoming;
  for (std::size_t i = 0; i < answering.requests.size(); ++i) {
    node::Job job{.request = answering.requests[i],
                  .prompt_ids = answering.prompt.ids,
                  .logprobs = answering.flags.logprobs,
                  .on_token = [&incoming, i](auto& token) { incoming.token(i, token); },
                  .on_done =
                      [&answering, i](Result<node::Finished> done) {
                        answering.incoming.done(i, to_receipt(answering, i, std::move(done)));
                      }};
    OTR_TRY_ASSIGN(answering.ids.emplace_back(), answering.service->submit(std::move(job)));
  }
  return {};
}

struct Answered {
  protocol::Receipt receipt;
  std::string receipt_text;
  std::string text;  // up to a stop string
  node::Audit audit;
  double seconds = 0;
  bool stream_is_receipts = false;
  std::optional<std::vector<node::TokenLogprobs>> logprobs;

  bool good() const { return !audit.failed() && stream_is_receipts; }
};

Result<Answered> answer(Answering& answering, std::size_t i) {
  const protocol::SignedRequest& request = answering.requests[i];
  const machine::Model& model = answering.artifact.view();
  Answered answered;
  if (answering.flags.logprobs) answered.logprobs.emplace();
  Stream stream(model, request.request, !answering.flags.json);
  std::optional<Result<protocol::Receipt>> outcome;
  while (!outcome) {
    if (env::interrupted()) answering.cancel();
    Incoming::News news = answering.incoming.next(i);
    for (node::TokenInfo& token : news.tokens) {
      stream.push(token.id);
      if (token.logprobs) answered.logprobs->push_back(*std::move(token.logprobs));
    }
    outcome = std::move(news.outcome);
    answered.seconds = static_cast<double>(news.done_ns - answering.begin_ns) / 1e9;
  }
  stream.finish();
  if (!*outcome) return std::unexpected(outcome->error());
  answered.receipt = **std::move(outcome);
  answered.text = stream.text();

  // The client's own look at what it was given, as if it came from a stranger.
  OTR_TRY_ASSIGN(answered.receipt_text, protocol::encode_receipt(answered.receipt));
  answered.audit = node::audit(answered.receipt_text, answering.artifact,
                               {.policy = answering.remote ? &answering.remote->policy() : nullptr,
                                .at = env::unix_seconds()});
  answered.stream_is_receipts = stream.ids() == answered.receipt.output_ids;
  return answered;
}

Json to_json(const Answered& answered, const machine::Model& model) {
  const protocol::Receipt& receipt = answered.receipt;
  Json json = {{"text", answered.text},
               {"output_text", receipt.output_text},
               {"prompt_tokens", receipt.prompt_ids.size()},
               {"output_tokens", receipt.output_ids.size()},
               {"finish_reason", receipt.claim.finish_reason},
               {"seed", to_hex(receipt.request.request.sampling.seed)},
               {"model_root", to_hex(receipt.request.request.model_root)},
               {"trace_root", to_hex(receipt.claim.trace_root)},
               {"milliseconds", static_cast<std::int64_t>(answered.seconds * 1000)},
               {"ladder", client::to_json(client::ladder(answered.audit, true))}};
  if (answered.logprobs) json["logprobs_not_covered"] = apps::to_json(*answered.logprobs, model);
  return json;
}

std::string summary_of(const AskFlags& flags, const Answered& answered, const machine::Model& model,
                       const std::filesystem::path& file) {
  const std::size_t count = answered.receipt.output_ids.size();
  const double speed = static_cast<double>(count) / answered.seconds;
  std::string summary = "\n" + std::to_string(answered.receipt.prompt_ids.size()) +
                        " prompt tokens, " + std::to_string(count) + " output tokens, " +
                        std::to_string(static_cast<int>(speed)) +
                        " tokens/s with trace and signatures\n";
  summary += client::to_text(client::ladder(answered.audit, answered.stream_is_receipts));
  if (!file.empty()) {
    summary += "Receipt: " + file.string() + "  (check it: otr verify " + file.string() +
               " --model " + flags.model + " --recompute)\n";
  }
  if (answered.logprobs) summary += to_text(*answered.logprobs, model);
  return summary;
}

Status check_can_write_receipts(const AskFlags& flags) {
  for (std::size_t i = 0; i < flags.n && !flags.receipt.empty(); ++i) {
    OTR_TRY(check_can_write("--receipt", flags.receipt_file(i)));
    OTR_TRY(check_is_other("--receipt", flags.receipt_file(i), flags.model));
  }
  return {};
}

// Prints the answers in order, and writes their receipts.
Result<int> show_all(Answering& answering) {
  const AskFlags& flags = answering.flags;
  const machine::Model& model = answering.artifact.view();
  Json answers = Json::array();
  bool good = true;
  for (std::size_t i = 0; i < flags.n; ++i) {
    if (flags.n > 1 && !flags.json) {
      OTR_TRY(print((i == 0 ? "" : "\n") + std::string("Answer ") + std::to_string(i + 1) + " of " +
                    std::to_string(flags.n) + ":\n"));
    }
    OTR_TRY_ASSIGN(const Answered answered, answer(answering, i));
    good = good && answered.good();
    std::filesystem::path file;
    if (!flags.receipt.empty()) {
      file = flags.receipt_file(i);
      OTR_TRY(env::write_file_atomically(file, as_bytes(answered.receipt_text), 0644));
    }
    if (!flags.json) OTR_TRY(print(summary_of(flags, answered, model, file)));
    answers.push_back(to_json(answered, model));
  }
  if (flags.json) {
    const Json all = flags.n == 1 ? answers[0] : Json{{"answers", answers}};
    OTR_TRY(print(all.dump() + "\n"));
  }
  return good ? kOk : kFailed;
}

Result<int> ask(const AskFlags& flags) {
  OTR_TRY(check_can_write_receipts(flags));
  OTR_TRY_ASSIGN(model::Artifact artifact, load_model(flags.model));
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, text::Tokenizer::parse(artifact.tokenizer()));
  OTR_TRY_ASSIGN(const Prompt prompt,
                 encode_prompt(artifact, tokenizer, flags.prompt, flags.raw, flags.system));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(crypto::PrivateKey operator_key, home.key("operator"));
  if (flags.is_remote()) {
    OTR_TRY_ASSIGN(auto remote, connect(flags.remote));
    OTR_TRY_ASSIGN(const auto session, remote->session(artifact.root()));
    OTR_TRY_ASSIGN(auto requests,
                   make_requests(flags, artifact, prompt, home, session->document.ledger));
    Answering answering{flags, artifact, prompt, std::move(requests), std::move(operator_key)};
    answering.remote = std::move(remote);
    OTR_TRY(begin_remote(answering, session));
    return show_all(answering);
  }
  OTR_TRY_ASSIGN(auto requests, make_requests(flags, artifact, prompt, home, Hash{}));
  OTR_TRY_ASSIGN(crypto::PrivateKey session_key, node::new_session_key());
  const engine::PackedModel packed = pack(artifact, flags.threads);
  Answering answering{flags, artifact, prompt, std::move(requests), std::move(operator_key)};
  OTR_TRY(begin(answering, packed, std::move(session_key)));
  return show_all(answering);
}

void add_remote_flags(CLI::App& command, RemoteFlags& flags) {
  command
      .add_option(
          "--url", flags.url,
          "Ask this gateway's workers instead of computing here; the prompt is sealed to the "
          "enclave and the answer verified")
      ->type_name("URL")
      ->envname("OTR_URL");
  command
      .add_option("--policy", flags.policy,
                  "With --url: what evidence is accepted, a TOML file or genuine")
      ->capture_default_str()
      ->type_name("P")
      ->envname("OTR_POLICY");
  command.add_option("--api-key-file", flags.key_file, "With --url: file with our key there")
      ->type_name("FILE");
  command.add_option("--ca-file", flags.ca_file, "With --url: authorities of its certificate, PEM")
      ->type_name("FILE");
  command.add_flag("--open", flags.open,
                   "With --url: send a prompt that the gateway can read, so that fishermen can "
                   "recompute");
}

void add_answer_flags(CLI::App& command, AskFlags& flags) {
  command.add_option("--max-tokens,--n-predict", flags.max_tokens, "Most tokens of the answer")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  add_sampling_flags(command, flags.sampling);
  command
      .add_option("--stop", flags.stop,
                  "End at this text, which is not printed; give it up to four times. The receipt "
                  "has the text with it")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command
      .add_option("--n", flags.n, "So many answers, computed together; their seeds follow from one")
      ->capture_default_str()
      ->check(CLI::Range(1, 128));
  command
      .add_option("--logprobs", flags.logprobs,
                  "Show the log-probability of each token and the K likeliest, 0 to 20 (of the raw "
                  "logits, by floating point: not covered by the claim)")
      ->type_name("K")
      ->check(CLI::Range(0u, protocol::kMaxTopLogprobs));
}

}  // namespace

void add_ask(CLI::App& app, Run& run) {
  auto flags = std::make_shared<AskFlags>();
  CLI::App* command = app.add_subcommand("ask", "Answer a prompt and write a receipt");
  command
      ->add_option("prompt", flags->prompt,
                   "The question, or the text to go on with where the model has no chat template")
      ->required();
  command->add_option("--system", flags->system, "Text of a system message before the question")
      ->type_name("TEXT");
  command->add_option("-m,--model", flags->model, "Model artifact (otr model import makes one)")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  add_answer_flags(*command, *flags);
  add_remote_flags(*command, flags->remote);
  command
      ->add_option("--receipt", flags->receipt,
                   "Write the receipt to this file; with --n 2, R.json stands for R-1.json and "
                   "R-2.json")
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
  command->add_flag("--json", flags->json,
                    "Print one JSON object; with --n above 1 its member answers has one for each");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = ask(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

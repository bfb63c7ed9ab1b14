// OpenAI's API over an upstream (SPEC GATE-8, GATE-9, GATE-10, GATE-11): the common part of gateway
// and proxy.
//
// The front is a client: it applies template and tokeniser, signs the requests, and passes the
// answer on while it comes. What it passes on is provisional: the chunk that says that an answer is
// finished goes out only when its claim has been verified as if it came from a stranger and its
// receipt is on disk. If that fails, a stream ends with an error event and a cut connection.
//
//   POST /v1/chat/completions, /v1/completions     (idempotency.h)
//   POST /tokenize, /detokenize, /apply-template
//   GET  /v1/models, /v1/models/{id}, /v1/otr/receipts?limit=, /v1/otr/receipts/{id}
//   the first two and /v1/models also without /v1, for clients whose base URL lacks it
//   GET  /health, /v1/health, /readyz (a model has a session), /livez, /version, /openapi.json,
//        all without API key; /metrics
#ifndef OTR_SERVICE_FRONT_H_
#define OTR_SERVICE_FRONT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/artifact.h"
#include "net/server.h"
#include "service/api_keys.h"
#include "service/idempotency.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/receipt_store.h"
#include "service/request_signer.h"
#include "service/upstream.h"
#include "text/tokenizer.h"

namespace otr::service {

struct ServedModel {
  std::vector<std::string> names;                   // at least one; the first is the one shown
  std::shared_ptr<const model::Artifact> artifact;  // weights are not needed
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::int64_t created = 0;  // unix seconds
  std::uint64_t parameters = 0, size_bytes = 0;
};
// Reads the tokeniser. With `gives_back` the weights' memory goes back to the system, for a front
// beside which nobody computes with this artifact.
[[nodiscard]] Result<ServedModel> serve_model(std::shared_ptr<model::Artifact> artifact,
                                              std::vector<std::string> names, std::int64_t created,
                                              bool gives_back);

struct FrontOptions {
  std::string component = "front";  // in the log, and in answers as who verified them
  std::string version;
  std::string allow_origin;               // for browsers: "*" or one origin; empty: none
  std::uint8_t mode = 0;                  // of the requests: trace::Privacy
  bool buffer = false;                    // show no text before its answer is verified
  std::uint32_t max_answers = 16;         // of one request: n times its prompts
  std::uint32_t max_requests = 256;       // being answered at a time; beyond: 429
  std::uint32_t admission_wait_ms = 200;  // how long a stream's head waits for a refusal upstream
  std::uint32_t ping_ms = 15'000;         // a comment into a stream that is silent so long
  std::uint32_t answer_seconds = 3600;    // the deadline of a request
  unsigned threads = 2;                   // for tokenising and verifying
  IdempotencyOptions idempotency;
};

// What a front works with. All of it must outlive the front, and the upstream's calls.
struct FrontServices {
  Upstream& upstream;
  RequestSigner& signer;
  ReceiptStore& store;
  Metrics& metrics;
  const Log& log;
};

// The path by which a route is known: "/chat/completions" is "/v1/chat/completions".
[[nodiscard]] std::string_view canonical_path(std::string_view path);

struct FrontParts;

class Front {
 public:
  // Requires at least one model, and no name twice.
  Front(std::vector<ServedModel> models, ApiKeys keys, FrontServices services,
        FrontOptions options);
  // As stop().
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  // Answers any request, an unknown one with 404. A net::Handler: it does not block.
  void handle(const std::shared_ptr<net::Exchange>& exchange);

  // For routes of others beside it: who asks, as ApiKeys::check; or nothing, and 401 is sent.
  [[nodiscard]] std::optional<Hash> authorize(const std::shared_ptr<net::Exchange>& exchange);

  [[nodiscard]] std::uint32_t running() const;  // requests being answered

  // Takes no more requests (503); those that run go on.
  void drain();
  // Ends what runs with an error and waits for the front's own threads. Twice is once.
  void stop();

 private:
  std::shared_ptr<FrontParts> parts_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_FRONT_H_

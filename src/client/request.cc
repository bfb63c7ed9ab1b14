#include "client/request.h"

#include <algorithm>

#include "env/clock.h"
#include "trace/header.h"

namespace otr::client {
namespace {

constexpr std::int64_t kDeadlineSeconds = 3600;

// Refused before a counter is spent on it; here it is not a cheat, but a wish to change.
Status check_request(const protocol::Request& request, const std::vector<std::uint32_t>& prompt_ids,
                     const machine::Shape& shape) {
  if (prompt_ids.size() >= shape.context) {
    return fail(ErrorKind::kUsage, "the prompt has " + std::to_string(prompt_ids.size()) +
                                       " tokens; this model takes at most " +
                                       std::to_string(shape.context - 1) + ": shorten it");
  }
  Status status = protocol::check_ranges(request);
  if (status) status = protocol::check_ranges_of_model(request, prompt_ids, shape);
  if (!status) status.error().kind = ErrorKind::kUsage;
  return status;
}

}  // namespace

otr::Result<protocol::SignedRequest> make_request(const Wish& wish, const model::Artifact& artifact,
                                                  const Hash& ledger,
                                                  service::RequestSigner& signer) {
  protocol::Request request;
  request.model_root = artifact.root();
  request.prompt_root = trace::token_root(wish.prompt_ids);
  request.prompt_count = static_cast<std::uint32_t>(wish.prompt_ids.size());
  request.max_tokens = std::min(wish.max_tokens, artifact.view().shape.context);
  request.sampling = wish.sampling;
  if (wish.sealed) {
    request.mode = 1;
    request.sampling.seed = signer.blind_seed(wish.sampling.seed);  // SPEC SEAL-4
  }
  request.stop = wish.stop;
  std::ranges::sort(request.stop);
  request.stop.erase(std::ranges::unique(request.stop).begin(), request.stop.end());
  request.deadline = static_cast<std::uint64_t>(env::unix_seconds() + kDeadlineSeconds);
  OTR_TRY(check_request(request, wish.prompt_ids, artifact.view().shape));
  return signer.sign(std::move(request), ledger);
}

}  // namespace otr::client

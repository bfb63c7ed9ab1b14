// From what a person or a program wants to a signed request (SPEC REQ).
#ifndef OTR_CLIENT_REQUEST_H_
#define OTR_CLIENT_REQUEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/program.h"
#include "model/artifact.h"
#include "protocol/request.h"
#include "service/request_signer.h"

namespace otr::client {

struct Wish {
  std::vector<std::uint32_t> prompt_ids;
  std::uint32_t max_tokens = 256;  // cut to the model's context
  machine::Sampling sampling;
  std::vector<std::string> stop;  // in any order
  bool sealed = false;
};

// Signed by our key, with a counter of its own, to be answered within the hour. kUsage, before a
// counter is spent, for what this model cannot be asked.
[[nodiscard]] otr::Result<protocol::SignedRequest> make_request(const Wish& wish,
                                                                const model::Artifact& artifact,
                                                                const Hash& ledger,
                                                                service::RequestSigner& signer);

}  // namespace otr::client

#endif  // OTR_CLIENT_REQUEST_H_

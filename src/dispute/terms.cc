#include "dispute/terms.h"

namespace otr::dispute {

referee::Terms terms_of(const protocol::Request& request, const protocol::Claim& claim,
                        const machine::Shape& shape) {
  return {.request_valid = protocol::check_ranges(request).has_value() &&
                           protocol::check_ranges_of_model(request, {}, shape).has_value(),
          .prompt_root = request.prompt_root,
          .request_prompt_count = request.prompt_count,
          .max_tokens = request.max_tokens,
          .mode = static_cast<trace::Privacy>(request.mode),
          .sampling = request.sampling,
          .stop = request.stop,
          .trace_root = claim.trace_root,
          .prompt_count = claim.prompt_count,
          .out_count = claim.out_count,
          .finish_reason = claim.finish_reason};
}

}  // namespace otr::dispute

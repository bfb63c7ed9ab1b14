// An error as an HTTP answer that OpenAI's clients understand, with the word on whether to try
// again.
#ifndef OTR_SERVICE_ERROR_ANSWER_H_
#define OTR_SERVICE_ERROR_ANSWER_H_

#include "net/http.h"
#include "openai/error.h"
#include "service/upstream.h"

namespace otr::service {

// Whether the same request may do better a moment later. OpenAI's clients would repeat every 409
// and 500 too.
[[nodiscard]] bool is_worth_retrying(const openai::ApiError& error);

// With `x-should-retry`, and `retry-after` where it says true.
[[nodiscard]] net::Response error_answer(const openai::ApiError& error);
[[nodiscard]] net::Response error_answer(const openai::ApiError& error, bool should_retry);

// What an upstream says of itself, made safe to pass on: a status that is no error becomes 502.
[[nodiscard]] openai::ApiError to_api_error(const UpstreamError& error);

}  // namespace otr::service

#endif  // OTR_SERVICE_ERROR_ANSWER_H_

// An error as OpenAI's clients understand it: an HTTP status and
//   {"error": {"message", "type", "code", "param"}}
#ifndef OTR_OPENAI_ERROR_H_
#define OTR_OPENAI_ERROR_H_

#include <expected>
#include <string>
#include <string_view>

#include "base/canonical_json.h"
#include "base/result.h"

namespace otr::openai {

struct ApiError {
  int status = 400;
  std::string type = "invalid_request_error";
  std::string code;     // a word for programs; empty: null
  std::string param;    // the member of the body it is about; empty: null
  std::string message;  // what is wrong and what to do
};

template <class T>
using Parsed = std::expected<T, ApiError>;

[[nodiscard]] Json to_json(const ApiError& error);

// 400. `param` as in "messages[2].content"; `code` where programs may want to know.
[[nodiscard]] ApiError invalid_request(std::string param, std::string message,
                                       std::string code = {});
// 400, code unsupported_parameter: we know what is meant, and do not do it.
[[nodiscard]] ApiError unsupported(std::string param, std::string message);
// 404, code model_not_found.
[[nodiscard]] ApiError model_not_found(std::string_view model);
// 404: nothing is at this path, or no receipt or session has this id.
[[nodiscard]] ApiError not_found(std::string message);
[[nodiscard]] ApiError method_not_allowed(std::string_view method, std::string_view path);  // 405
[[nodiscard]] ApiError body_too_large(std::size_t max_bytes);                               // 413
[[nodiscard]] ApiError unauthorized();  // 401, code invalid_api_key
[[nodiscard]] ApiError too_many();      // 429, code rate_limit_exceeded: all slots are taken
[[nodiscard]] ApiError unavailable(std::string message);     // 503: no worker, still loading
[[nodiscard]] ApiError bad_gateway(std::string message);     // 502: the worker went away
[[nodiscard]] ApiError internal_error(std::string message);  // 500

// What an error of ours means to an HTTP client: a person's mistake is a 400 about `param`, all
// else is the server's.
[[nodiscard]] ApiError from_error(const Error& error, std::string param);

}  // namespace otr::openai

#endif  // OTR_OPENAI_ERROR_H_

// The OpenAPI document of the service, as it is served at /openapi.json: openai/openapi.json, kept
// by hand and made part of the program.
#ifndef OTR_OPENAI_OPENAPI_H_
#define OTR_OPENAI_OPENAPI_H_

#include <string_view>

namespace otr::openai {

[[nodiscard]] std::string_view openapi_document();

}  // namespace otr::openai

#endif  // OTR_OPENAI_OPENAPI_H_

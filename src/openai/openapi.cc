#include "openai/openapi.h"

// openapi.S: the bytes of the document and what comes behind its last one.
extern "C" const char otr_openapi[];
extern "C" const char otr_openapi_end[];

namespace otr::openai {

std::string_view openapi_document() {
  return {otr_openapi, static_cast<std::size_t>(otr_openapi_end - otr_openapi)};
}

}  // namespace otr::openai

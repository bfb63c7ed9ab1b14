// What stands behind the classes of client.h.
#ifndef OTR_CLIENT_BODY_H_
#define OTR_CLIENT_BODY_H_

#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "client/client.h"
#include "engine/packed.h"
#include "model/artifact.h"
#include "text/tokenizer.h"

namespace otr::client {

struct Model::Body {
  Body(std::string file_name, model::Artifact read, text::Tokenizer parsed)
      : name(std::move(file_name)), artifact(std::move(read)), tokenizer(std::move(parsed)) {}

  // The weights as the engine wants them, made on first use: a second copy of them. kIo where there
  // is no memory or no thread. Any thread.
  otr::Result<const engine::PackedModel*> packed(unsigned threads);

  const std::string name;
  const model::Artifact artifact;
  const text::Tokenizer tokenizer;

 private:
  std::mutex mutex_;
  std::optional<engine::PackedModel> packed_;
};

// For the users of the library.
[[nodiscard]] Error to_public(otr::Error error);

// The error of a step, as the users of the library see it.
#define OTR_CLIENT_TRY(lhs, expr) OTR_CLIENT_TRY_(OTR_CONCAT_(otr_result_, __LINE__), lhs, expr)
#define OTR_CLIENT_TRY_(tmp, lhs, expr)                                \
  auto tmp = (expr);                                                   \
  if (!tmp) return std::unexpected(to_public(std::move(tmp).error())); \
  lhs = *std::move(tmp)

}  // namespace otr::client

#endif  // OTR_CLIENT_BODY_H_

#include "convert/gguf_tokenizer.h"

#include "convert/gguf_metadata.h"
#include "text/utf8.h"

namespace otr::convert {
namespace {

constexpr const char* kPrefix = "tokenizer.ggml.";

// Lists of ids that end an answer, as some converters write them.
Status read_ends(const GgufMetadata& metadata, text::GgufTokenizer& out) {
  for (const char* name : {"eos_token_ids", "eog_token_ids"}) {
    const std::string key = std::string(kPrefix) + name;
    OTR_TRY_ASSIGN(const auto ids, metadata.integers(key));
    for (const std::int32_t id : ids) {
      if (id < 0) return metadata.bad(key, "has a negative id.");
      out.eog_ids.push_back(static_cast<std::uint32_t>(id));
    }
  }
  return {};
}

}  // namespace

Result<text::GgufTokenizer> read_gguf_tokenizer(const GgufFile& file) {
  const GgufMetadata metadata(file);
  const auto key = [](const char* name) { return std::string(kPrefix) + name; };
  text::GgufTokenizer out;
  OTR_TRY_ASSIGN(const auto model, metadata.text(key("model")));
  out.model = model.value_or("");
  if (out.model == "no_vocab" || !metadata.has(key("tokens"))) {
    return fail(ErrorKind::kBadInput,
                file.path +
                    " holds no vocabulary (tokenizer.ggml.tokens), and a model without a tokeniser "
                    "cannot be asked anything: convert the original model again, with its "
                    "tokeniser's files beside it.");
  }
  if (!model) return metadata.missing(key("model"));
  OTR_TRY_ASSIGN(const auto pre, metadata.text(key("pre")));
  out.pre = pre.value_or("");
  OTR_TRY_ASSIGN(out.tokens, metadata.texts(key("tokens")));
  OTR_TRY_ASSIGN(out.score_bits, metadata.float_bits(key("scores")));
  OTR_TRY_ASSIGN(out.types, metadata.integers(key("token_type")));
  OTR_TRY_ASSIGN(out.merges, metadata.texts(key("merges")));
  OTR_TRY_ASSIGN(out.bos_id, metadata.id(key("bos_token_id")));
  OTR_TRY_ASSIGN(out.eos_id, metadata.id(key("eos_token_id")));
  OTR_TRY_ASSIGN(out.unknown_id, metadata.id(key("unknown_token_id")));
  OTR_TRY_ASSIGN(out.eot_id, metadata.id(key("eot_token_id")));
  OTR_TRY_ASSIGN(out.eom_id, metadata.id(key("eom_token_id")));
  OTR_TRY_ASSIGN(out.padding_id, metadata.id(key("padding_token_id")));
  OTR_TRY(read_ends(metadata, out));
  OTR_TRY_ASSIGN(out.add_bos, metadata.boolean(key("add_bos_token")));
  OTR_TRY_ASSIGN(out.add_eos, metadata.boolean(key("add_eos_token")));
  OTR_TRY_ASSIGN(out.add_space_prefix, metadata.boolean(key("add_space_prefix")));
  OTR_TRY_ASSIGN(out.remove_extra_whitespaces, metadata.boolean(key("remove_extra_whitespaces")));
  const GgufValue* charsmap = file.header.find(key("precompiled_charsmap"));
  out.has_charsmap = charsmap != nullptr && !charsmap->raw.empty();
  return out;
}

Result<std::string> read_gguf_chat_template(const GgufFile& file) {
  const GgufMetadata metadata(file);
  OTR_TRY_ASSIGN(const auto source, metadata.text("tokenizer.chat_template"));
  if (source && text::utf8_error(*source)) {
    return metadata.bad("tokenizer.chat_template", "is not UTF-8.");
  }
  return source.value_or("");
}

}  // namespace otr::convert

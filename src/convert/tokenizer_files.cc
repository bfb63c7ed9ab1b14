#include "convert/tokenizer_files.h"

#include <algorithm>

#include "env/file.h"
#include "model/layout.h"
#include "text/document.h"
#include "text/json.h"
#include "text/tokenizer.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

// Empty where there is no such file.
Result<std::string> read_if_present(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::string();
  OTR_TRY(env::check_is_file(path));
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(path, text::kTokenizerBounds.max_bytes));
  return std::string(as_text(bytes));
}

// A template is a string, or a list of named ones of which "default" is meant.
Result<std::string> template_of(const std::string& tokenizer_config) {
  if (tokenizer_config.empty()) return std::string();
  OTR_TRY_ASSIGN(const Json json, text::parse_json(tokenizer_config, "tokenizer_config.json"));
  if (!json.is_object()) {
    return fail(ErrorKind::kBadInput, "tokenizer_config.json is no JSON object.");
  }
  const Json& member = text::member(json, "chat_template");
  if (!member.is_array()) return text::string_member(json, "chat_template", "tokenizer_config");
  for (const Json& named : member) {
    if (named.is_object() && text::member(named, "name") == "default") {
      return text::string_member(named, "template", "tokenizer_config.chat_template");
    }
  }
  return fail(ErrorKind::kBadInput,
              "tokenizer_config.json: chat_template is a list without one named 'default'.");
}

Result<TokenTable> make_table(const text::Tokenizer& tokenizer, std::uint32_t vocabulary) {
  if (tokenizer.vocabulary_size() > vocabulary) {
    return fail(ErrorKind::kBadInput,
                "the tokeniser has ids up to " + std::to_string(tokenizer.vocabulary_size() - 1) +
                    ", but the model has only " + std::to_string(vocabulary) + " (vocab_size).");
  }
  TokenTable table;
  table.offsets.push_back(0);
  for (std::uint32_t id = 0; id < vocabulary; ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (bytes.size() > model::kMaxTokenSize) {
      return fail(ErrorKind::kBadInput, "the tokeniser's token " + std::to_string(id) + " has " +
                                            std::to_string(bytes.size()) +
                                            " bytes; an artifact holds at most " +
                                            std::to_string(model::kMaxTokenSize) + " in a token.");
    }
    append(table.bytes, as_bytes(bytes));
    if (table.bytes.size() > model::kMaxTokenBytes) {
      return fail(ErrorKind::kBadInput, "the tokeniser's tokens have more than 64 MiB.");
    }
    table.offsets.push_back(static_cast<std::uint32_t>(table.bytes.size()));
  }
  return table;
}

}  // namespace

Result<TokenizerFiles> from_document(std::string document, std::string chat_template,
                                     std::optional<std::uint32_t> vocabulary) {
  TokenizerFiles files{.document = std::move(document), .chat_template = std::move(chat_template)};
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, text::Tokenizer::parse(files.document));
  files.eos_ids = tokenizer.eos();
  OTR_TRY_ASSIGN(files.tokens,
                 make_table(tokenizer, vocabulary.value_or(tokenizer.vocabulary_size())));
  return files;
}

Result<TokenizerFiles> read_tokenizer_files(const fs::path& folder,
                                            std::optional<std::uint32_t> vocabulary) {
  OTR_TRY_ASSIGN(const std::string json, read_if_present(folder / "tokenizer.json"));
  OTR_TRY_ASSIGN(const std::string model, read_if_present(folder / "tokenizer.model"));
  OTR_TRY_ASSIGN(const std::string added, read_if_present(folder / "added_tokens.json"));
  OTR_TRY_ASSIGN(const std::string config, read_if_present(folder / "tokenizer_config.json"));
  OTR_TRY_ASSIGN(const std::string generation, read_if_present(folder / "generation_config.json"));
  OTR_TRY_ASSIGN(const std::string model_config, read_if_present(folder / "config.json"));
  if (json.empty() && model.empty()) {
    return fail(ErrorKind::kUsage,
                folder.string() + " has neither tokenizer.json nor tokenizer.model.");
  }
  OTR_TRY_ASSIGN(std::string document,
                 text::document_from_huggingface({.tokenizer_json = json,
                                                  .tokenizer_model = model,
                                                  .added_tokens_json = added,
                                                  .tokenizer_config_json = config,
                                                  .generation_config_json = generation,
                                                  .config_json = model_config}));
  OTR_TRY_ASSIGN(std::string chat_template, read_if_present(folder / "chat_template.jinja"));
  if (chat_template.empty()) {
    OTR_TRY_ASSIGN(chat_template, template_of(config));
  }
  return from_document(std::move(document), std::move(chat_template), vocabulary);
}

}  // namespace otr::convert

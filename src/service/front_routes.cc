// The routes of a front that need no upstream's answer.
#include <algorithm>
#include <charconv>

#include "base/hex.h"
#include "machine/tables.h"
#include "openai/parse.h"
#include "openai/render.h"
#include "service/error_answer.h"
#include "service/front_parts.h"
#include "service/prompt.h"

namespace otr::service {
namespace {

constexpr std::uint32_t kMaxListed = 1000;

net::Response ok(const Json& body) { return net::json_response(200, body.dump()); }

net::Response to_response(const openai::Parsed<Json>& body) {
  return body ? ok(*body) : error_answer(body.error());
}

openai::ModelCard card_of(const ServedModel& model) {
  const machine::Shape& shape = model.artifact->view().shape;
  return {.id = model.names[0],
          .created = model.created,
          .model_root = model.artifact->root(),
          .context = shape.context,
          .vocabulary = shape.vocabulary,
          .parameters = model.parameters,
          .size_bytes = model.size_bytes};
}

template <class T>
openai::Parsed<T> with_param(Result<T> result, const char* param) {
  if (result) return *std::move(result);
  return std::unexpected(openai::from_error(result.error(), param));
}

openai::Parsed<Json> tokens_of(const FrontParts& parts, std::string_view body) {
  OTR_TRY_ASSIGN(const openai::TokenizeRequest request, openai::parse_tokenize(body));
  OTR_TRY_ASSIGN(const ServedModel* model, parts.find_model(request.model));
  std::vector<std::uint32_t> ids;
  if (request.messages.empty()) {
    const text::EncodeOptions options{.add_special = request.add_special,
                                      .parse_special = request.parse_special};
    OTR_TRY_ASSIGN(ids, with_param(model->tokenizer->encode(request.text, options), "content"));
  } else {
    const ChatOptions options{.add_generation_prompt = request.add_generation_prompt};
    OTR_TRY_ASSIGN(
        ids, with_param(encode_chat(*model->artifact, *model->tokenizer, request.messages, options),
                        "messages"));
  }
  std::vector<std::string> pieces;
  for (std::size_t i = 0; request.with_pieces && i < ids.size(); ++i) {
    pieces.emplace_back(model->tokenizer->token_bytes(ids[i]));
  }
  return openai::render_tokens(ids, pieces, model->artifact->view().shape.context);
}

openai::Parsed<Json> text_of_tokens(const FrontParts& parts, std::string_view body) {
  OTR_TRY_ASSIGN(const openai::DetokenizeRequest request, openai::parse_detokenize(body));
  OTR_TRY_ASSIGN(const ServedModel* model, parts.find_model(request.model));
  const std::uint32_t vocabulary = model->artifact->view().shape.vocabulary;
  if (std::ranges::any_of(request.ids, [&](std::uint32_t id) { return id >= vocabulary; })) {
    return std::unexpected(openai::invalid_request("tokens",
                                                   "'tokens' has an id that is not below " +
                                                       std::to_string(vocabulary) +
                                                       ", the model's vocabulary.",
                                                   "out_of_range"));
  }
  return openai::render_text(model->tokenizer->decode(request.ids));
}

openai::Parsed<Json> templated_text(const FrontParts& parts, std::string_view body) {
  OTR_TRY_ASSIGN(const openai::TokenizeRequest request, openai::parse_tokenize(body));
  OTR_TRY_ASSIGN(const ServedModel* model, parts.find_model(request.model));
  if (request.messages.empty()) {
    return std::unexpected(
        openai::invalid_request("messages", "Give the 'messages' that the template is for."));
  }
  const ChatOptions options{.add_generation_prompt = request.add_generation_prompt};
  OTR_TRY_ASSIGN(const chat::TemplatedText templated,
                 with_param(apply_chat_template(*model->artifact, *model->tokenizer,
                                                request.messages, options),
                            "messages"));
  return Json{{"prompt", templated.text}};
}

openai::Parsed<std::uint32_t> limit_of(std::string_view query) {
  OTR_TRY_ASSIGN(const net::Headers fields, with_param(net::parse_query(query), "limit"));
  const std::string_view text = net::find_header(fields, "limit").value_or("20");
  std::uint32_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > kMaxListed) {
    return std::unexpected(openai::invalid_request("limit", "'limit' must be from 1 to 1000."));
  }
  return limit;
}

}  // namespace

net::Response list_models(const FrontParts& parts) {
  std::vector<openai::ModelCard> cards;
  for (const ServedModel& model : parts.models) cards.push_back(card_of(model));
  return ok(openai::render_models(cards));
}

net::Response show_model(const FrontParts& parts, std::string_view id) {
  // An id may hold slashes and, in a path, escapes.
  const auto unescaped = net::parse_query("id=" + std::string(id));
  const bool is_one = unescaped && unescaped->size() == 1;
  const auto model = parts.find_model(is_one ? std::string_view((*unescaped)[0].value) : id);
  return model ? ok(openai::render_model(card_of(**model))) : error_answer(model.error());
}

net::Response tokenize(const FrontParts& parts, std::string_view body) {
  return to_response(tokens_of(parts, body));
}

net::Response detokenize(const FrontParts& parts, std::string_view body) {
  return to_response(text_of_tokens(parts, body));
}

net::Response apply_template(const FrontParts& parts, std::string_view body) {
  return to_response(templated_text(parts, body));
}

net::Response list_receipts(const FrontParts& parts, const Incoming& incoming) {
  const auto limit = limit_of(incoming.exchange->request().query);
  if (!limit) return error_answer(limit.error());
  const auto entries = parts.services.store.list(incoming.api_key, *limit);
  if (!entries) return error_answer(openai::from_error(entries.error(), ""));
  Json data = Json::array();
  for (const ReceiptEntry& entry : *entries) {
    data.push_back({{"receipt_id", to_hex(entry.id)},
                    {"created", entry.created},
                    {"size_bytes", entry.size_bytes}});
  }
  return ok({{"object", "list"}, {"data", std::move(data)}});
}

net::Response show_receipt(const FrontParts& parts, const Incoming& incoming, std::string_view id) {
  const auto hash = hash_from_hex(id, "the receipt's id");
  if (!hash) return error_answer(openai::from_error(hash.error(), "id"));
  auto text = parts.services.store.get(*hash, incoming.api_key);
  if (!text) return error_answer(openai::from_error(text.error(), ""));
  if (!*text) {
    return error_answer(openai::not_found(
        "No receipt of yours has this id. It is there once its answer has ended whole."));
  }
  return net::json_response(200, **std::move(text));
}

net::Response show_health(const FrontParts& parts) {
  std::string why;
  if (parts.drains) why = "The service is being shut down.";
  for (const ServedModel& model : parts.models) {
    const auto session = parts.services.upstream.session(model.artifact->root());
    if (!session) why += (why.empty() ? "" : " ") + model.names[0] + ": " + session.error().message;
  }
  if (why.empty()) return ok({{"status", "ok"}});
  return error_answer(openai::unavailable(why));
}

net::Response show_version(const FrontParts& parts) {
  return ok({{"version", parts.options.version},
             {"spec_version", machine::kSpecVersion},
             {"spec_hash", to_hex(machine::kSpecHash)}});
}

}  // namespace otr::service

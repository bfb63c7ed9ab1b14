#include "attest/event_log.h"

#include <algorithm>

#include "attest/bundle_json.h"
#include "attest/encoding.h"
#include "attest/hash.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxEvents = 4096;
constexpr std::uint32_t kDstackEvent = 0x08000001;

Bytes digest_of(const Event& event) {
  Bytes message;
  append_le(message, event.type);
  append(message, as_bytes(":"));
  append(message, as_bytes(event.name));
  append(message, as_bytes(":"));
  append(message, event.payload);
  return sha384(message);
}

std::string text_or_empty(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<Event> read_event(const Json& object) {
  if (!object.is_object()) return std::nullopt;
  const auto imr = object.find("imr"), type = object.find("event_type");
  if (imr == object.end() || !imr->is_number_unsigned() || *imr > 3) return std::nullopt;
  if (type == object.end() || !type->is_number_unsigned() || *type > 0xFFFFFFFFu) {
    return std::nullopt;
  }
  auto digest = from_plain_hex(text_or_empty(object, "digest"));
  auto payload = from_plain_hex(text_or_empty(object, "event_payload"));
  if (!digest || digest->size() != sizeof(Rtmr) || !payload) return std::nullopt;
  return Event{.rtmr = imr->get<unsigned>(),
               .type = type->get<std::uint32_t>(),
               .digest = std::move(*digest),
               .name = text_or_empty(object, "event"),
               .payload = std::move(*payload)};
}

}  // namespace

bool Event::is_measured_text() const { return type == kDstackEvent && rtmr == 3; }

Result<std::vector<Event>> parse_event_log(std::string_view json, std::string_view what) {
  OTR_TRY_ASSIGN(const Json array, parse_document(json, what));
  if (!array.is_array() || array.size() > kMaxEvents) {
    return fail(ErrorKind::kBadInput, std::string(what) + " is no array of at most 4096 events",
                "MALFORMED");
  }
  std::vector<Event> events;
  for (const Json& object : array) {
    const std::string where = std::string(what) + ": event " + std::to_string(events.size());
    auto event = read_event(object);
    if (!event) {
      return fail(ErrorKind::kBadInput,
                  where + " lacks imr (0 to 3), event_type, digest (48 bytes) or event_payload",
                  "MALFORMED");
    }
    if (event->is_measured_text() && digest_of(*event) != event->digest) {
      return fail(ErrorKind::kBadInput,
                  where + " ('" + event->name.substr(0, 40) +
                      "'): its digest is not that of its name and payload",
                  "TAMPERED");
    }
    events.push_back(std::move(*event));
  }
  return events;
}

std::array<Rtmr, 4> replay(const std::vector<Event>& events) {
  std::array<Rtmr, 4> registers{};
  for (const Event& event : events) {
    Rtmr& to = registers[event.rtmr];
    Bytes joined(to.begin(), to.end());
    append(joined, event.digest);
    std::ranges::copy(sha384(joined), to.begin());
  }
  return registers;
}

Json event_facts(const std::vector<Event>& events) {
  Json facts = Json::array();
  for (const Event& event : events) {
    if (!event.is_measured_text()) continue;
    facts.push_back({{"event", event.name}, {"payload", to_plain_hex(event.payload)}});
  }
  return facts;
}

}  // namespace otr::attest

// Event logs of TDX guests as dstack writes them: JSON, replayed against the quote's run-time
// registers (SPEC ATT-13).
//
// A log by itself proves nothing: anybody can write one. Only that its digests, in order, extend 48
// zero bytes to what the quote's RTMRs hold ties it to the guest; and only events whose digest
// covers name and payload (dstack's own, in RTMR 3) tell what happened. Of the firmware's events
// the payload is a hint.
#ifndef OTR_ATTEST_EVENT_LOG_H_
#define OTR_ATTEST_EVENT_LOG_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/canonical_json.h"
#include "base/result.h"

namespace otr::attest {

using Rtmr = std::array<std::uint8_t, 48>;

struct Event {
  unsigned rtmr = 0;  // 0 to 3
  std::uint32_t type = 0;
  Bytes digest;  // 48
  std::string name;
  Bytes payload;

  // dstack's own events: the digest is SHA-384(type ‖ ":" ‖ name ‖ ":" ‖ payload).
  [[nodiscard]] bool is_measured_text() const;
};

// At most 4096 events. kBadInput with the number of the event; code MALFORMED, and TAMPERED where
// the digest of an event of dstack is not that of its name and payload.
[[nodiscard]] Result<std::vector<Event>> parse_event_log(std::string_view json,
                                                         std::string_view what);

// The registers after all events, from zero.
[[nodiscard]] std::array<Rtmr, 4> replay(const std::vector<Event>& events);

// Names and payloads of the events that are measured as text, for reports.
[[nodiscard]] Json event_facts(const std::vector<Event>& events);

}  // namespace otr::attest

#endif  // OTR_ATTEST_EVENT_LOG_H_

// The trust ladder: what is known about an answer, one line per rung (DESIGN, section 0).
#ifndef OTR_APPS_LADDER_H_
#define OTR_APPS_LADDER_H_

#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "node/audit.h"

namespace otr::apps {

enum class Rung { kPass, kFail, kNotYet };

struct LadderLine {
  std::string name;
  Rung state = Rung::kNotYet;
  std::string why;
};

// The eight rungs for an audited receipt. `stream_seen`: this process received the answer as a
// stream and it is the receipt's. A rung that was not checked is NOT YET, never PASS.
std::vector<LadderLine> ladder(const node::Audit& audit, bool stream_seen);

std::string to_text(const std::vector<LadderLine>& ladder);
Json to_json(const std::vector<LadderLine>& ladder);

// Every single check with its value, for --explain.
std::string explain(const node::Audit& audit);
Json checks_to_json(const node::Audit& audit);

}  // namespace otr::apps

#endif  // OTR_APPS_LADDER_H_

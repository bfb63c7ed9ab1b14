// The trust ladder: what is known about an answer, one line per rung (DESIGN, section 0), and the
// verdict in a word. The same for the command line and for programs.
#ifndef OTR_CLIENT_LADDER_H_
#define OTR_CLIENT_LADDER_H_

#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "client/client.h"
#include "node/audit.h"
#include "rollup/watcher.h"

namespace otr::client {

// The eight rungs for an audited receipt. `stream_seen`: this process received the answer as a
// stream and it is the receipt's. `on_ledger`: where its claim stands, by a replay of the ledger;
// null: nobody has looked. A rung that was not checked is NOT YET, never PASS.
std::vector<LadderLine> ladder(const node::Audit& audit, bool stream_seen,
                               const rollup::Whereabouts* on_ledger = nullptr);

Json to_json(const std::vector<LadderLine>& ladder);

// Every single check with its value, for --explain.
std::string explain(const node::Audit& audit);
Json checks_to_json(const node::Audit& audit);

Verdict verdict_of(const node::Audit& audit);
// The sentence of Verification::summary, or PROVEN of a proof.
std::string summary_of(const node::Audit& audit);

}  // namespace otr::client

#endif  // OTR_CLIENT_LADDER_H_

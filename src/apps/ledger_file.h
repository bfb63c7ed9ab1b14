// A ledger in a file, as commands take it.
#ifndef OTR_APPS_LEDGER_FILE_H_
#define OTR_APPS_LEDGER_FILE_H_

#include <functional>
#include <string>

#include "ledger/state.h"
#include "settlement/store.h"

namespace otr::apps {

// Replays a store or an export, told apart by what it begins with; `visit`, where given, sees every
// row that was taken.
Result<ledger::State> replay_ledger(
    const std::string& file, const std::function<Status(const settlement::Row&)>& visit = {});

}  // namespace otr::apps

#endif  // OTR_APPS_LEDGER_FILE_H_

// Where and why an answer ends, judged from the last tokens before a position (SPEC REF-6).
#ifndef OTR_REFEREE_FINISH_H_
#define OTR_REFEREE_FINISH_H_

#include <cstdint>

#include "base/result.h"
#include "referee/adjudicate.h"
#include "referee/opening.h"
#include "referee/statement.h"

namespace otr::referee {

inline constexpr std::uint64_t kMaxFinishTokens = 4096;

// The claim is false about its end. Any t and witness are allowed; codes as adjudicate().
[[nodiscard]] Result<Verdict> adjudicate_finish(const Statement& statement, std::uint32_t t,
                                                const Witness& witness);

}  // namespace otr::referee

#endif  // OTR_REFEREE_FINISH_H_

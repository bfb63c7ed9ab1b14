// What the referee judges by, made of what client and worker signed (SPEC REQ, CLAIM, REF-1).
#ifndef OTR_DISPUTE_TERMS_H_
#define OTR_DISPUTE_TERMS_H_

#include "machine/model.h"
#include "protocol/claim.h"
#include "protocol/request.h"
#include "referee/statement.h"

namespace otr::dispute {

// Any request and claim are allowed: whoever calls has checked that the request's digest is the
// claim's requestHash and that its model root is the registered model's.
[[nodiscard]] referee::Terms terms_of(const protocol::Request& request,
                                      const protocol::Claim& claim, const machine::Shape& shape);

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_TERMS_H_

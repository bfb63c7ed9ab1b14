// The test of llama.cc: analytic against numeric gradients on a tiny shape, in double precision.
#ifndef OTR_TOOLS_TRAIN_GRADIENT_CHECK_H_
#define OTR_TOOLS_TRAIN_GRADIENT_CHECK_H_

#include "base/result.h"

namespace otr::train {

// Compares at least 30 elements of every tensor; a relative difference above 1e-5 is an error that
// names the tensor. On success returns the largest relative difference seen.
Result<double> check_gradients();

}  // namespace otr::train

#endif  // OTR_TOOLS_TRAIN_GRADIENT_CHECK_H_

#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace otr {

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "otr: bug: %s:%d: check failed: %s\n", file, line, condition);
  std::fflush(stderr);
  std::_Exit(70);  // EX_SOFTWARE, the exit code reserved for bugs
}

}  // namespace otr

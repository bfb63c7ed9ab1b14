// Results and errors: the one way a function says that somebody else's data, or the world, failed.
//
// Bad data from outside and failures of the world are returned, never thrown; a broken promise of
// our own code is an OTR_CHECK (check.h). The kind of an error is chosen by what the caller must
// do.
#ifndef OTR_BASE_RESULT_H_
#define OTR_BASE_RESULT_H_

#include <expected>
#include <string>
#include <utility>

namespace otr {

enum class ErrorKind {
  kUsage,       // the person must change a flag, a setting or a request        -> exit 2
  kBadInput,    // bytes from outside break a format rule                       -> exit 2
  kReject,      // well-formed bytes that do not prove what they say            -> exit 1
  kOutOfRange,  // the exact arithmetic left a stated range (SPEC OUT_OF_RANGE) -> exit 1
  kIo,          // disk or system: full, missing, not permitted                 -> exit 2
  kNetwork,     // retry may help                                               -> exit 4
  kCancelled,   // somebody asked us to stop                                    -> exit 3
};

struct Error {
  ErrorKind kind = ErrorKind::kBadInput;
  std::string message;  // what, where and what to do, in one or two sentences
  // SPEC reject code (chapter REJ), e.g. "SIGNATURE_INVALID"; empty where the SPEC names none.
  std::string code = {};
};

template <class T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string code = {}) {
  return std::unexpected(Error{kind, std::move(message), std::move(code)});
}

// Returns from the enclosing function with the error of `expr`, if it has one.
#define OTR_TRY(expr)                                         \
  do {                                                        \
    if (auto otr_status_ = (expr); !otr_status_) {            \
      return std::unexpected(std::move(otr_status_).error()); \
    }                                                         \
  } while (false)

// Declares `lhs` with the value of `expr`, or returns its error from the enclosing function.
#define OTR_TRY_ASSIGN(lhs, expr) OTR_TRY_ASSIGN_(OTR_CONCAT_(otr_result_, __LINE__), lhs, expr)
#define OTR_TRY_ASSIGN_(tmp, lhs, expr)                     \
  auto tmp = (expr);                                        \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  lhs = *std::move(tmp)
#define OTR_CONCAT_(a, b) OTR_CONCAT2_(a, b)
#define OTR_CONCAT2_(a, b) a##b

}  // namespace otr

#endif  // OTR_BASE_RESULT_H_

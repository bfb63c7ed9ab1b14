// OTR_CHECK: our own code broke its promise. On in every build. No peer's byte may reach one.
#ifndef OTR_BASE_CHECK_H_
#define OTR_BASE_CHECK_H_

namespace otr {

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace otr

#define OTR_CHECK(condition)                                               \
  do {                                                                     \
    if (!(condition)) ::otr::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

#ifdef NDEBUG
#define OTR_DCHECK(condition) static_cast<void>(0)
#else
#define OTR_DCHECK(condition) OTR_CHECK(condition)
#endif

#endif  // OTR_BASE_CHECK_H_

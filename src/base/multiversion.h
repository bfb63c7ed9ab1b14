// One loop, compiled for several instruction sets, of which the loader picks one.
#ifndef OTR_BASE_MULTIVERSION_H_
#define OTR_BASE_MULTIVERSION_H_

// Before a function whose loops a compiler vectorises by itself. Elsewhere than on x86-64, and
// under ThreadSanitizer (which is not ready when the loader asks), the plain body remains.
#if defined(__x86_64__) && !__has_feature(thread_sanitizer)
#define OTR_MULTIVERSION \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define OTR_MULTIVERSION
#endif

#endif  // OTR_BASE_MULTIVERSION_H_

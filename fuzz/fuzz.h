// What fuzz targets share: a target is one file with one FUZZ_TARGET(text) { ... }.
//
// A target feeds hostile text to one parser and checks properties; crashes, sanitizer reports and
// FUZZ_CHECK end the program, and libFuzzer keeps the input. One thread.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace hami::fuzz {

[[noreturn]] inline void Failed(const char* condition, const char* file, int line) {
  fprintf(stderr, "%s:%d: property does not hold: %s\n", file, line, condition);
  abort();
}

}  // namespace hami::fuzz

#define FUZZ_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::hami::fuzz::Failed(#condition, __FILE__, __LINE__))

#define FUZZ_TARGET(text)                                                   \
  static void FuzzOne(std::string_view text);                               \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    FuzzOne(std::string_view(reinterpret_cast<const char*>(data), size));   \
    return 0;                                                               \
  }                                                                         \
  static void FuzzOne(std::string_view text)

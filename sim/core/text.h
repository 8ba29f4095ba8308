// Small text helpers for code that must not need a C++ runtime. No allocation, no locale.
// Every function is pure or writes only into the buffer it is given; any thread may call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hami::sim {

// Copies text into out (size bytes, always NUL-terminated); returns false when it had to cut.
bool CopyText(char* out, size_t size, std::string_view text);

template <size_t N>
bool CopyText(char (&out)[N], std::string_view text) {
  return CopyText(out, N, text);
}

// Part of text from `from`, at most `count` characters; never throws, empty beyond the end.
std::string_view Slice(std::string_view text, size_t from, size_t count = std::string_view::npos);

std::string_view Trim(std::string_view text);

// Whole text as a decimal number; false for anything else, overflow included.
bool ParseUnsigned(std::string_view text, uint64_t& value);

// Decimal environment variable; absent or empty gives false, nonsense prints one line and gives
// false.
bool EnvUnsigned(const char* name, uint64_t& value);

// 64-bit FNV-1a and one step of splitmix64: stable across machines, for generated identities.
uint64_t HashText(std::string_view text, uint64_t start = 0xcbf29ce484222325ull);
uint64_t Mix(uint64_t value);

// "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and its 16 bytes.
inline constexpr size_t kUuidTextSize = 41;
void FormatUuid(const uint8_t (&bytes)[16], const char* prefix, char* out, size_t size);
// "GPU-..." or "MIG-...".
bool ParseUuid(std::string_view text, uint8_t (&bytes)[16]);

// One line "fakegpu: <text>\n" on standard error, in one write.
void Complain(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace hami::sim

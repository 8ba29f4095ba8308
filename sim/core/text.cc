#include "sim/core/text.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hami::sim {

bool CopyText(char* out, size_t size, std::string_view text) {
  if (size == 0) return false;
  const size_t n = text.size() < size - 1 ? text.size() : size - 1;
  if (n != 0) memcpy(out, text.data(), n);
  out[n] = '\0';
  return n == text.size();
}

std::string_view Slice(std::string_view text, size_t from, size_t count) {
  if (from >= text.size()) return {};
  const size_t left = text.size() - from;
  return {text.data() + from, count < left ? count : left};
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

bool ParseUnsigned(std::string_view text, uint64_t& value) {
  if (text.empty() || text.size() > 20) return false;
  uint64_t sum = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    if (__builtin_mul_overflow(sum, uint64_t{10}, &sum)) return false;
    if (__builtin_add_overflow(sum, static_cast<uint64_t>(c - '0'), &sum)) return false;
  }
  value = sum;
  return true;
}

bool EnvUnsigned(const char* name, uint64_t& value) {
  const char* text = getenv(name);
  if (text == nullptr || *text == '\0') return false;
  if (ParseUnsigned(text, value)) return true;
  Complain("%s: expected a decimal number, got \"%s\"; ignored", name, text);
  return false;
}

uint64_t HashText(std::string_view text, uint64_t start) {
  uint64_t hash = start;
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return hash;
}

uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

void FormatUuid(const uint8_t (&b)[16], const char* prefix, char* out, size_t size) {
  snprintf(out, size, "%s%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
           prefix, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
           b[13], b[14], b[15]);
}

bool ParseUuid(std::string_view text, uint8_t (&bytes)[16]) {
  if (text.size() != kUuidTextSize - 1 ||
      (memcmp(text.data(), "GPU-", 4) != 0 && memcmp(text.data(), "MIG-", 4) != 0)) {
    return false;
  }
  size_t at = 4;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      if (text[at++] != '-') return false;
    }
    int value = 0;
    for (int digit = 0; digit < 2; ++digit) {
      const char c = text[at++];
      if (c >= '0' && c <= '9') {
        value = value * 16 + (c - '0');
      } else if (c >= 'a' && c <= 'f') {
        value = value * 16 + (c - 'a' + 10);
      } else {
        return false;
      }
    }
    bytes[i] = static_cast<uint8_t>(value);
  }
  return true;
}

void Complain(const char* format, ...) {
  char line[640] = "fakegpu: ";
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(line + 9, sizeof line - 10, format, args);
  va_end(args);
  size_t length = 9 + static_cast<size_t>(n < 0 ? 0 : n);
  if (length > sizeof line - 2) length = sizeof line - 2;
  line[length++] = '\n';
  if (write(STDERR_FILENO, line, length) < 0) return;
}

}  // namespace hami::sim

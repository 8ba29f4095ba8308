// Text in a fixed buffer: what the library needs of formatting, without libc and allocation.
//
// A value type; cuts silently at its capacity and is always NUL-terminated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hami::limiter::sys {

template <size_t kCapacity>
class Text {
 public:
  static constexpr size_t kMost = kCapacity - 1;  // characters

  Text& Add(std::string_view piece) {
    for (char c : piece) {
      if (size_ + 1 < kCapacity) data_[size_++] = c;
    }
    data_[size_] = '\0';
    return *this;
  }
  Text& Add(uint64_t number) {
    char digits[20];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    while (count > 0) Add(std::string_view(&digits[--count], 1));
    return *this;
  }
  // Lower-case hexadecimal, two digits a byte.
  Text& AddHex(const uint8_t* bytes, size_t count) {
    constexpr char kDigits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; ++i) {
      Add(std::string_view(&kDigits[bytes[i] >> 4], 1));
      Add(std::string_view(&kDigits[bytes[i] & 15], 1));
    }
    return *this;
  }
  // Takes the last `count` characters away.
  Text& Drop(size_t count) {
    size_ = count < size_ ? size_ - count : 0;
    data_[size_] = '\0';
    return *this;
  }
  const char* c_str() const { return data_; }
  size_t size() const { return size_; }
  std::string_view view() const { return {data_, size_}; }

 private:
  char data_[kCapacity] = {};
  size_t size_ = 0;
};

}  // namespace hami::limiter::sys

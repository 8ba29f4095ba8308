// Units: numbers that cannot be confused. Values, no threads.
//
// Memory on the wire is MiB (int32), inside it is 64 bit; cores are percent of one card.
#pragma once

#include <compare>
#include <cstdint>

namespace hami {

template <class Tag>
struct Quantity64 {
  int64_t value = 0;

  constexpr auto operator<=>(const Quantity64&) const = default;
  constexpr Quantity64 operator+(Quantity64 o) const { return {value + o.value}; }
  constexpr Quantity64 operator-(Quantity64 o) const { return {value - o.value}; }
  constexpr Quantity64& operator+=(Quantity64 o) { return value += o.value, *this; }
  constexpr Quantity64& operator-=(Quantity64 o) { return value -= o.value, *this; }
};

using Bytes = Quantity64<struct BytesTag>;
using MiB = Quantity64<struct MiBTag>;
using Percent = Quantity64<struct PercentTag>;  // of one card's compute, or the vendor's core unit

constexpr Bytes ToBytes(MiB m) { return {m.value << 20}; }
constexpr MiB FloorMiB(Bytes b) { return {b.value >> 20}; }

}  // namespace hami

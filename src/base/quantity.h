// Kubernetes resource quantities ("3000", "3k", "1.5Gi", "2e3"): exact, bounded. No threads.
//
// Source: k8s.io/apimachinery resource.Quantity grammar.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace hami {

struct Quantity {
  int64_t value = 0;       // rounded away from zero to a whole number, as Quantity.Value() does
  bool integral = true;    // false: "1.5", "1500m"
  bool saturated = false;  // true: beyond int64, value is the nearest bound

  bool operator==(const Quantity&) const = default;
};

// Errors: kInvalidArgument naming the text and what is expected.
Result<Quantity> ParseQuantity(std::string_view text);

}  // namespace hami

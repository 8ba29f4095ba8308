// Checks a region: what its words must say whatever its processes do at this moment, and what they
// must say once everything is at rest.
//
// Findings are values in the words of a person who operates a node. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/region/mapped_region.h"

namespace hami::region {

enum class Severity : uint8_t {
  kNote,     // true and worth knowing; nothing is wrong
  kProblem,  // a promise is broken
};

struct Finding {
  Severity severity;
  std::string what;
};

std::vector<Finding> Verify(const MappedRegion& region);

}  // namespace hami::region

// Failpoints: places where a test lets the process die as by kill -9.
//
// HAMI_FAILPOINT=step:n kills the process when it passes the n-th time through that step (n from
// 1). Without the variable a pass costs one load. Steps: intent, files, committed, patched,
// replied, released (journal.h). Thread-safe.
#pragma once

#include <string_view>

namespace hami::node {

void FailPoint(std::string_view step);

}  // namespace hami::node

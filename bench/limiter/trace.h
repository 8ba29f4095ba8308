// Counts instructions by executing one at a time: exact, and the same on a busy machine as on a
// quiet one.
//
// The traced process says where a call begins and ends by raising SIGSTOP; the tracer is its
// parent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hami::bench {

struct CallTrace {
  uint64_t library = 0;  // executed in the named object
  uint64_t all = 0;      // executed by the process
};

// Forks a child that prepares the operation, warms it up and makes `calls` calls, each of which is
// counted; `object` is part of a mapped file's name. Empty: the child failed, or tracing is not
// allowed here.
std::vector<CallTrace> TraceCalls(std::string_view operation, std::string_view object, int calls);

}  // namespace hami::bench

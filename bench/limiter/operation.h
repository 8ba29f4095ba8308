// What is measured: one call, or one pair of calls, of the driver's, as a program makes them.
//
// An operation belongs to one process and one thread. The driver is found with dlopen and dlsym, so
// that the same program runs against the driver alone and with a library in front of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hami::bench {

class Operation {
 public:
  virtual ~Operation() = default;
  // Makes what the calls need. False: this driver cannot do it.
  virtual bool Prepare() = 0;
  virtual void Repeat(int64_t calls) = 0;
  // Between two bursts, not measured.
  virtual void Rest() {}
};

// "launch", "alloc:10000", ...; null for an unknown name.
std::unique_ptr<Operation> MakeOperation(std::string_view name);
std::vector<std::string> OperationNames();

// The driver's own answer to cuInit(0); -1: no driver.
int InitDriver();

// Monotonic nanoseconds.
int64_t NowNs();

}  // namespace hami::bench

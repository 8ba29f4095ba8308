// The answers of the stub library, set by nvml_test.cc through dlsym("nvml_stub"). Test code only.
#pragma once

struct NvmlStub {
  int init = 0;
  int count_result = 0;
  unsigned count = 2;
  int handle_result[4] = {};  // per index
  int memory_result[4] = {};
  const char* name = "Tesla P4";
  bool unterminated = false;   // texts without a terminator
  unsigned long long xid = 0;  // next event; 0: time out
  int wait_result = 0;
  int init_calls = 0;
};

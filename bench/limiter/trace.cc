#include "bench/limiter/trace.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "bench/limiter/operation.h"

namespace hami::bench {
namespace {

constexpr int kWarmUpCalls = 200;

struct Range {
  uint64_t begin, end;
};

std::vector<Range> CodeOf(pid_t pid, std::string_view object) {
  std::vector<Range> ranges;
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    Range range = {};
    char rights[5] = {};
    if (sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &range.begin, &range.end, rights) ==
            3 &&
        rights[2] == 'x' && line.find(object) != std::string::npos) {
      ranges.push_back(range);
    }
  }
  return ranges;
}

uint64_t ProgramCounter(pid_t pid) {
  user_regs_struct registers = {};
  iovec area = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &area) != 0) return 0;
#if defined(__x86_64__)
  return registers.rip;
#else
  return registers.pc;
#endif
}

// True when the child stopped by itself; false: it ended.
bool AwaitMark(pid_t pid) {
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
}

// From one mark to the next. The few instructions of raise() itself are in `all` only.
bool CountToMark(pid_t pid, const std::vector<Range>& code, CallTrace& trace) {
  for (;;) {
    const uint64_t at = ProgramCounter(pid);
    int status = 0;
    if (ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) != 0 || waitpid(pid, &status, 0) != pid ||
        !WIFSTOPPED(status)) {
      return false;
    }
    if (WSTOPSIG(status) == SIGSTOP) return true;
    if (WSTOPSIG(status) != SIGTRAP) return false;
    ++trace.all;
    for (const Range& range : code) {
      if (at >= range.begin && at < range.end) ++trace.library;
    }
  }
}

[[noreturn]] void RunTraced(std::string_view name, int calls) {
  const auto operation = MakeOperation(name);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0 || operation == nullptr ||
      !operation->Prepare()) {
    _exit(1);
  }
  operation->Repeat(kWarmUpCalls);
  operation->Rest();
  for (int i = 0; i < calls; ++i) {
    raise(SIGSTOP);
    operation->Repeat(1);
    raise(SIGSTOP);
  }
  _exit(0);
}

}  // namespace

std::vector<CallTrace> TraceCalls(std::string_view operation, std::string_view object, int calls) {
  std::vector<CallTrace> traces;
  const pid_t child = fork();
  if (child == 0) RunTraced(operation, calls);
  if (child < 0) return traces;
  std::vector<Range> code;
  while (AwaitMark(child)) {
    if (code.empty()) code = CodeOf(child, object);
    CallTrace trace;
    if (!CountToMark(child, code, trace)) break;
    traces.push_back(trace);
    ptrace(PTRACE_CONT, child, nullptr, nullptr);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return traces;
}

}  // namespace hami::bench

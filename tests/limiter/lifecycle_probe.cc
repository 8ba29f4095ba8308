#include "tests/limiter/lifecycle_probe.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sstream>
#include <thread>

namespace lifecycle {
namespace {

template <class... Types>
int Call(const char* name, Types... arguments) {
  static void* const cuda = dlopen("libcuda.so.1", RTLD_NOW);
  const auto function = reinterpret_cast<int (*)(Types...)>(dlsym(cuda, name));
  return function == nullptr ? -1000 : function(arguments...);
}

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Commands separated by semicolons, and their answers.
std::string ExecuteAll(const std::string& commands, Execute execute) {
  std::istringstream in(commands);
  std::string answers;
  for (std::string command; std::getline(in, command, ';');) answers += execute(command) + ";";
  return answers;
}

std::string StatusOf(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return std::to_string(status);
}

// The child shares everything until it ends or becomes another program.
std::string Vfork(bool exec) {
  const pid_t child = vfork();
  if (child == 0) {
    if (exec) execl("/bin/true", "true", nullptr);
    _exit(3);
  }
  return StatusOf(child);
}

struct Shared {
  std::string commands, answers;
  Execute execute;
};

// A process of its own in this one's memory, as some runtimes make them.
std::string CloneVm(const std::string& commands, Execute execute) {
  static std::vector<char> stack(256 * 1024);
  Shared shared{commands, "", execute};
  const pid_t child = clone(
      [](void* argument) {
        auto& mine = *static_cast<Shared*>(argument);
        mine.answers = ExecuteAll(mine.commands, mine.execute);
        _exit(0);
        return 0;
      },
      stack.data() + stack.size(), CLONE_VM | SIGCHLD, &shared);
  return StatusOf(child) + " " + shared.answers;
}

std::string ForkExec(const std::string& commands) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    dup2(to[0], 0);
    dup2(from[1], 1);
    execl("/proc/self/exe", "limiter_probe", nullptr);
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  std::string lines = commands + ";";
  for (char& c : lines) c = c == ';' ? '\n' : c;
  if (write(to[1], lines.data(), lines.size()) < 0) return "no child";
  close(to[1]);
  std::string answers;
  char piece[4096];
  for (ssize_t count; (count = read(from[0], piece, sizeof piece)) > 0;) {
    answers.append(piece, static_cast<size_t>(count));
  }
  close(from[0]);
  for (char& c : answers) c = c == '\n' ? ';' : c;
  return StatusOf(child) + " " + answers;
}

// As daemon(3) and then some: two forks, a session of its own, all descriptors closed but the
// standard ones. The process that was asked ends; the daemon answers from now on.
std::string Daemon() {
  fflush(stdout);
  if (fork() != 0) _exit(0);
  setsid();
  if (fork() != 0) _exit(0);
  for (int fd = 3; fd < 1024; ++fd) close(fd);
  return std::to_string(getpid());
}

// A signal comes in the middle of a driver call, and its handler ends the process.
std::string ExitInHandler() {
  signal(SIGALRM, [](int) { exit(0); });
  itimerval soon = {};
  soon.it_value.tv_usec = 20'000;
  setitimer(ITIMER_REAL, &soon, nullptr);
  for (;;) {
    unsigned long long pointer = 0;
    if (Call("cuMemAlloc_v2", &pointer, size_t{4096}) == 0) Call("cuMemFree_v2", pointer);
  }
}

struct Churn {
  std::vector<std::thread> threads;
  std::atomic<bool> rest{false};
  std::atomic<unsigned> resting{0};
  std::atomic<uint64_t> operations{0}, refused{0}, failed{0}, held{0};
  std::atomic<uint64_t> longest_ns{0}, longest_wall_ns{0}, slow{0};
};
Churn& churn = *new Churn;  // its threads never end

// How long the calling thread was ready and had no processor: the machine's doing, not another
// process's.
class ProcessorWait {
 public:
  // Since the last call.
  uint64_t TakeNs() {
    char text[96] = {};
    if (pread(file_, text, sizeof text - 1, 0) <= 0) return 0;
    unsigned long long running = 0, waiting = 0;
    sscanf(text, "%llu %llu", &running, &waiting);
    const uint64_t since = waiting - waiting_;
    waiting_ = waiting;
    return since;
  }

 private:
  int file_ = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  uint64_t waiting_ = 0;
};

void RaiseTo(std::atomic<uint64_t>& most, uint64_t ns) {
  uint64_t seen = most.load();
  while (seen < ns && !most.compare_exchange_weak(seen, ns)) {
  }
}

void Measure(uint64_t start, ProcessorWait& wait) {
  constexpr uint64_t kWorthALookNs = 5'000'000;
  const uint64_t wall = NowNs() - start;
  uint64_t ns = wall;
  if (wall > kWorthALookNs) ns -= std::min(ns, wait.TakeNs());
  RaiseTo(churn.longest_wall_ns, wall);
  RaiseTo(churn.longest_ns, ns);
  if (ns > 100'000'000) ++churn.slow;
  ++churn.operations;
}

void Work(uint64_t seed, uint64_t largest, void* context) {
  Call("cuCtxSetCurrent", context);
  std::mt19937_64 random(seed);
  struct Block {
    unsigned long long pointer;
    uint64_t bytes;
  };
  std::vector<Block> held;
  ProcessorWait wait;
  for (uint32_t operation = 0;; ++operation) {
    if (operation % 64 == 0) wait.TakeNs();  // what is left is the next operations' own
    if (churn.rest) {
      ++churn.resting;
      while (churn.rest) usleep(1000);
      --churn.resting;
    }
    const uint64_t start = NowNs();
    if (held.empty() || random() % 2 == 0) {
      Block block{0, 1 + random() % largest};
      const int result = Call("cuMemAlloc_v2", &block.pointer, static_cast<size_t>(block.bytes));
      Measure(start, wait);
      if (result == 0) held.push_back(block), churn.held += block.bytes;
      if (result == 2) ++churn.refused;
      if (result != 0 && result != 2) ++churn.failed;
    } else {
      std::swap(held[random() % held.size()], held.back());
      if (Call("cuMemFree_v2", held.back().pointer) != 0) ++churn.failed;
      Measure(start, wait);
      churn.held -= held.back().bytes;
      held.pop_back();
    }
  }
}

}  // namespace

std::string Live(const std::vector<std::string>& a, const std::string& line, Execute execute) {
  const std::string rest = line.size() > a[0].size() ? line.substr(a[0].size() + 1) : "";
  if (a[0] == "vfork" || a[0] == "vforkexec") return Vfork(a[0] == "vforkexec");
  if (a[0] == "clonevm") return CloneVm(rest, execute);
  if (a[0] == "forkexec") return ForkExec(rest);
  if (a[0] == "daemon") return Daemon();
  if (a[0] == "exitinhandler") return ExitInHandler();
  return "";
}

std::string Load(const std::vector<std::string>& a) {
  if (a[0] == "churn") {
    void* context = nullptr;
    Call("cuCtxGetCurrent", &context);
    const auto count = strtoull(a[1].c_str(), nullptr, 10);
    for (uint64_t t = 0; t < count; ++t) {
      churn.threads.emplace_back(Work, static_cast<uint64_t>(getpid()) * 1000 + t,
                                 strtoull(a[2].c_str(), nullptr, 10), context);
    }
    return "0";
  }
  if (a[0] == "pace") {
    std::ostringstream out;
    out << churn.operations.exchange(0) << " " << churn.refused.exchange(0) << " "
        << churn.failed.exchange(0) << " " << churn.longest_ns.exchange(0) << " "
        << churn.longest_wall_ns.exchange(0) << " " << churn.slow.exchange(0);
    return out.str();
  }
  if (a[0] == "rest") {
    churn.rest = true;
    while (churn.resting != churn.threads.size()) usleep(100);
    return std::to_string(churn.held);
  }
  if (a[0] == "go") {
    churn.rest = false;
    while (churn.resting != 0) usleep(100);
    return "0";
  }
  return "";
}

}  // namespace lifecycle

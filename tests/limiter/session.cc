#include "tests/limiter/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim/core/ledger.h"

namespace hami::limiter::testing {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Streams {
  int in, out;
  std::string err;
};

// With an emulator before it, which gets the variables of the dynamic linker as arguments: in its
// own environment they would name libraries of a foreign architecture.
void Emulate(std::vector<std::string>& command, std::vector<std::string>& environment) {
  const char* emulator = getenv("HAMI_TEST_EMULATOR");
  if (emulator == nullptr) return;
  std::istringstream words(emulator);
  std::vector<std::string> before, kept;
  for (std::string word; words >> word;) before.push_back(word);
  for (const std::string& entry : environment) {
    if (entry.starts_with("LD_")) {
      before.insert(before.end(), {"-E", entry});
    } else {
      kept.push_back(entry);
    }
  }
  environment = kept;
  command.insert(command.begin(), before.begin(), before.end());
}

pid_t Spawn(std::vector<std::string> command, std::vector<std::string> environment,
            const Streams& streams) {
  Emulate(command, environment);
  std::vector<char*> argv, envp;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  for (const std::string& entry : environment) envp.push_back(const_cast<char*>(entry.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, streams.in, 0);
  posix_spawn_file_actions_adddup2(&actions, streams.out, 1);
  posix_spawn_file_actions_addopen(&actions, 2, streams.err.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), envp.data()), 0) << argv[0];
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

struct Pipe {
  Pipe() { EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0); }
  int ends[2];
};

}  // namespace

std::string Built(const std::string& path) {
  const char* tree = getenv("HAMI_TEST_TREE");
  return std::string(tree != nullptr ? tree : HAMI_BUILD_TREE) + "/" + path;
}

Probe::Probe(pid_t pid, int to, int from, std::string err_path)
    : pid_(pid), to_(to), from_(from), err_path_(std::move(err_path)) {}

Probe::~Probe() {
  close(to_);
  close(from_);
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void Probe::Kill() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Probe::Send(const std::string& command) {
  const std::string line = command + "\n";
  ASSERT_EQ(write(to_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
}

std::string Probe::Receive() {
  while (buffer_.find('\n') == std::string::npos) {
    char piece[4096];
    const ssize_t count = read(from_, piece, sizeof piece);
    if (count <= 0) {
      ADD_FAILURE() << "the program ended: " << Errors();
      return "-1";
    }
    buffer_.append(piece, static_cast<size_t>(count));
  }
  const size_t end = buffer_.find('\n');
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return line;
}

bool Probe::Answers(int seconds) {
  pollfd wait = {from_, POLLIN, 0};
  return buffer_.find('\n') != std::string::npos || poll(&wait, 1, seconds * 1000) > 0;
}

std::string Probe::Ask(const std::string& command) {
  Send(command);
  return Receive();
}

uint64_t Probe::Value(const std::string& command) {
  const std::string answer = Ask(command);
  EXPECT_EQ(answer.substr(0, 2), "0 ") << command << ": " << answer;
  return std::strtoull(answer.substr(answer.find(' ') + 1).c_str(), nullptr, 10);
}

void Probe::Begin(int device) {
  EXPECT_EQ(Code("init"), 0);
  EXPECT_EQ(Code("ctx " + std::to_string(device)), 0);
}

std::string Probe::Errors() const { return ReadFile(err_path_); }

Container::Container(Variables variables) : variables_(std::move(variables)) {
  signal(SIGPIPE, SIG_IGN);
  char name[] = "/tmp/hami-limiter-XXXXXX";
  EXPECT_NE(mkdtemp(name), nullptr);
  folder_ = name;
}

Container::~Container() {
  if (region_ != nullptr) munmap(region_, HAMI_REGION_FILE_SIZE);
  std::filesystem::remove_all(folder_);
}

std::vector<std::string> Container::Environment(const Variables& more, bool preload) const {
  Variables all = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                   {"LD_LIBRARY_PATH", SimLibraries()},
                   {"FAKEGPU_COUNT", "4"},
                   {"FAKEGPU_CTX_MB", "256"},
                   {"FAKEGPU_STATE", folder_ + "/state"},
                   {"CUDA_DEVICE_MEMORY_SHARED_CACHE", region_path()}};
  if (preload) all["LD_PRELOAD"] = Limiter();
  for (const auto& [name, value] : variables_) all[name] = value;
  for (const auto& [name, value] : more) all[name] = value;
  std::vector<std::string> environment;
  for (const auto& [name, value] : all) environment.push_back(name + "=" + value);
  return environment;
}

std::unique_ptr<Probe> Container::Start(const Variables& more) {
  return StartProgram({ProbeProgram()}, more);
}

std::unique_ptr<Probe> Container::StartBare(const Variables& more) {
  return StartProgram({ProbeProgram()}, more, false);
}

std::unique_ptr<Probe> Container::StartProgram(const std::vector<std::string>& command,
                                               const Variables& more, bool preload) {
  const Pipe to, from;
  const std::string err = folder_ + "/err" + std::to_string(started_++);
  const pid_t pid = Spawn(command, Environment(more, preload), {to.ends[0], from.ends[1], err});
  close(to.ends[0]);
  close(from.ends[1]);
  return std::make_unique<Probe>(pid, to.ends[1], from.ends[0], err);
}

Finished Container::Run(const std::vector<std::string>& command, const Variables& more) {
  const Pipe out;
  const std::string err = folder_ + "/err" + std::to_string(started_++);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t pid = Spawn(command, Environment(more, true), {nothing, out.ends[1], err});
  close(out.ends[1]);
  close(nothing);
  Finished finished;
  char piece[4096];
  for (ssize_t count; (count = read(out.ends[0], piece, sizeof piece)) > 0;) {
    finished.out.append(piece, static_cast<size_t>(count));
  }
  close(out.ends[0]);
  waitpid(pid, &finished.status, 0);
  finished.err = ReadFile(err);
  return finished;
}

HamiRegion& Container::region() {
  if (region_ == nullptr) {
    const int fd = open(region_path().c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(fd, 0) << region_path();
    void* map = mmap(nullptr, HAMI_REGION_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_NE(map, MAP_FAILED);
    close(fd);
    region_ = static_cast<HamiRegion*>(map);
  }
  return *region_;
}

uint64_t Container::CardUsed(int card) {
  sim::Ledger ledger;
  sim::ReadError error;
  EXPECT_TRUE(ledger.Open((folder_ + "/state").c_str(), true, error)) << error.text;
  ledger.Reap();
  const uint64_t used = ledger.Used(card);
  ledger.Close();
  return used;
}

uint64_t Container::CardPeak(int card) {
  sim::Ledger ledger;
  sim::ReadError error;
  EXPECT_TRUE(ledger.Open((folder_ + "/state").c_str(), true, error)) << error.text;
  const uint64_t peak = ledger.Peak(card);
  ledger.Close();
  return peak;
}

}  // namespace hami::limiter::testing

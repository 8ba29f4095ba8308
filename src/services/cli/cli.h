// hamictl: the command line of people who ask what runs where and why not.
//
// Main thread of a tool; blocks on the API server (through the user's kubeconfig). Reads only.
#pragma once

#include <string>

#include "base/clock.h"
#include "services/cli/cluster.h"

namespace hami::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitNo = 1,  // the answer is no: not found, no cards, the Pod is in trouble
  kExitUsage = 2,
  kExitUnreachable = 3,  // no answer: kubeconfig, network, rights
};

// Everything the commands need of the outside; main gives the real ones.
struct Outside {
  // Connects with this kubeconfig file ("" = the usual places) and context of it ("" = the current
  // one); sets the default namespace.
  std::function<Result<ApiCall>(const std::string& kubeconfig, const std::string& context,
                                std::string* default_ns)>
      connect;
  std::function<Result<std::string>(const std::string& path)> read_file;
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
  const Clock* clock = nullptr;
};

// The whole program; returns the exit code.
int RunHamictl(int argc, const char* const* argv, const Outside& outside);

// The real outside: kubeconfig, network, standard output.
int RunHamictl(int argc, const char* const* argv);

}  // namespace hami::cli

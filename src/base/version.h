// Which build this is: for --version, build-info metrics and the user agent.
#pragma once

#include <string>

namespace hami {

struct BuildInfo {
  std::string version;   // "0.1.0"
  std::string revision;  // git commit, "unknown" outside a checkout
  std::string compiler;
  std::string platform;  // "linux/amd64"
};

const BuildInfo& Build();
// Several lines, for `version` subcommands.
std::string VersionText(const std::string& program);

}  // namespace hami

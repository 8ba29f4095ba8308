// hami-region: the files of a container's limiter. Everything is in services/region_tool.
#include <unistd.h>

#include <csignal>

#include "services/region_tool/tool.h"

namespace {

// A container's user can cut his file short while it is mapped here.
void OnBusError(int) {
  constexpr char kText[] = "hami-region: the file was cut short while it was looked at\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(hami::region_tool::kExitFile);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGBUS, &OnBusError);
  return hami::region_tool::RunRegionTool(argc, argv);
}

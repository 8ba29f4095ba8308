#include "base/version.h"

namespace hami {

const BuildInfo& Build() {
#if defined(__aarch64__)
  static const BuildInfo info{HAMI_VERSION, HAMI_REVISION, HAMI_COMPILER, "linux/arm64"};
#else
  static const BuildInfo info{HAMI_VERSION, HAMI_REVISION, HAMI_COMPILER, "linux/amd64"};
#endif
  return info;
}

std::string VersionText(const std::string& program) {
  const BuildInfo& b = Build();
  return program + " " + b.version + "\n  revision " + b.revision + "\n  compiler " + b.compiler +
         "\n  platform " + b.platform + "\n";
}

}  // namespace hami

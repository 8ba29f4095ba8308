#include "base/version.h"

#ifndef HAMI_REVISION
#define HAMI_REVISION "unknown"
#endif

namespace hami {

const BuildInfo& Build() {
#if defined(__aarch64__)
  static const BuildInfo info{HAMI_VERSION, HAMI_REVISION, __VERSION__, "linux/arm64"};
#else
  static const BuildInfo info{HAMI_VERSION, HAMI_REVISION, __VERSION__, "linux/amd64"};
#endif
  return info;
}

std::string VersionText(const std::string& program) {
  const BuildInfo& b = Build();
  return program + " " + b.version + "\n  revision " + b.revision + "\n  compiler " + b.compiler +
         "\n  platform " + b.platform + "\n";
}

}  // namespace hami

#include "services/node/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <string>

#include "base/env.h"

namespace hami::node {
namespace {

struct Armed {
  std::string step;
  int passes = 0;  // 0: nothing is armed

  Armed() {
    const std::string text = GetEnvOr("HAMI_FAILPOINT", "");
    const size_t colon = text.find(':');
    if (colon == std::string::npos) return;
    step = text.substr(0, colon);
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), passes);
  }
};

}  // namespace

void FailPoint(std::string_view step) {
  static const Armed armed;
  static std::atomic<int> passed{0};
  if (armed.passes == 0 || step != armed.step) return;
  if (++passed == armed.passes) ::kill(::getpid(), SIGKILL);
}

}  // namespace hami::node

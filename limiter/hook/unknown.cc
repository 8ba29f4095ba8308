#include "limiter/hook/unknown.h"

#include "limiter/hook/prologue.h"
#include "limiter/region/attachment.h"
#include "limiter/sys/log.h"

namespace hami::limiter::hook {
namespace {

constinit std::atomic<bool> reported{false};

}  // namespace

void Report(std::string_view name) {
  const Inside inside;
  if (!Ready() || reported.exchange(true)) return;
  std::atomic_ref(region::Attachment::Own().region().ext.header.feature_bits)
      .fetch_or(HAMI_FEATURE_UNKNOWN_ABI);
  HAMI_LIMITER_LOG(kWarn,
                   text.Add("this driver has a form of ")
                       .Add(name)
                       .Add(" that this library does not know: what it takes is not limited"));
}

}  // namespace hami::limiter::hook

#include "limiter/hook/book.h"

namespace hami::limiter::hook {

bool RememberInstead(const account::Record& record) {
  if (const auto stale = OwnRecords().Take(record.space, record.key)) ReleaseRecord(*stale);
  return OwnRecords().Insert(record);
}

}  // namespace hami::limiter::hook

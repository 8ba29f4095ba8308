#include "limiter/hook/book.h"

namespace hami::limiter::hook {

account::Record RecordOf(const Current& current, account::Space space, uint64_t key, uint64_t bytes,
                         uint8_t kind) {
  account::Record record;
  record.key = key;
  record.size = bytes;
  record.owner = current.owner;
  record.space = space;
  record.kind = kind;
  record.device = static_cast<int8_t>(current.index);
  return record;
}

bool Remember(const account::Record& record) {
  if (OwnRecords().InsertNew(record)) return true;
  if (const auto stale = OwnRecords().Take(record.space, record.key)) ReleaseRecord(*stale);
  return OwnRecords().Insert(record);
}

}  // namespace hami::limiter::hook

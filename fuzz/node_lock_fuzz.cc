// ParseNodeLock, and the handshake stamps beside it: no value blocks a node, none overflows a time.
#include "domain/protocol/handshake.h"
#include "domain/protocol/node_lock.h"
#include "fuzz/fuzz.h"

using namespace hami;            // NOLINT
using namespace hami::protocol;  // NOLINT

FUZZ_TARGET(text) {
  const WallTime now = WallTime(std::chrono::seconds(1'790'000'000));
  const NodeLock lock = ParseNodeLock(text, "uid-1");
  FUZZ_CHECK((lock.form == LockForm::kNone) == text.empty());
  FUZZ_CHECK((lock.form == LockForm::kMalformed) == !lock.problem.empty());
  if (lock.form != LockForm::kNone) FUZZ_CHECK(lock.raw == text);
  LockExpired(lock, now, now, kNodeLockTimeout);
  if (lock.form == LockForm::kMalformed) {
    FUZZ_CHECK(!MayRelease(lock, {"default", "p"}, "uid-1"));
    FUZZ_CHECK(LockExpired(lock, now, now + std::chrono::hours(1), kNodeLockTimeout));
  }
  if (lock.form == LockForm::kOwned) {
    FUZZ_CHECK(MayRelease(lock, lock.holder, "uid-1"));
    const NodeLock again = ParseNodeLock(FormatNodeLock(*lock.taken, lock.holder));
    FUZZ_CHECK(again.form == LockForm::kOwned && again.holder == lock.holder);
    const Duration difference = *lock.taken - *again.taken;  // whole seconds are written
    FUZZ_CHECK(difference >= Duration(0) && difference < std::chrono::seconds(1));
  }
  const Handshake handshake = ParseHandshake(text);
  for (const auto offset :
       {std::chrono::hours(-12), std::chrono::hours(0), std::chrono::hours(14)}) {
    HandshakeOverdue(handshake, now, offset);
  }
}

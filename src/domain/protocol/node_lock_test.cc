#include "domain/protocol/node_lock.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "domain/protocol/names.h"

namespace hami::protocol {
namespace {

using namespace std::chrono_literals;

const WallTime kTaken(std::chrono::seconds(1781449503));  // 2026-06-14T15:05:03Z
const PodKey kPod{"default", "gang-pod-1"};
constexpr std::string_view kValue = "2026-06-14T15:05:03Z,default,gang-pod-1";

// Conformance vector 7.
TEST(NodeLockTest, ThreePartsNameTheHolder) {
  NodeLock lock = ParseNodeLock(kValue, "uid-1");
  EXPECT_EQ(lock.form, LockForm::kOwned);
  EXPECT_EQ(lock.holder, kPod);
  EXPECT_EQ(lock.taken, kTaken);
  EXPECT_EQ(lock.holder_uid, "uid-1");
  EXPECT_EQ(FormatNodeLock(kTaken, kPod), kValue);
}

TEST(NodeLockTest, ABareTimeIsALockWithoutHolder) {
  NodeLock lock = ParseNodeLock("2026-06-14T17:05:03+02:00");
  EXPECT_EQ(lock.form, LockForm::kBare);
  EXPECT_EQ(lock.taken, kTaken);
}

TEST(NodeLockTest, OtherCountsOfPartsAreTheReferencesError) {
  NodeLock two = ParseNodeLock("2026-06-14T15:05:03Z,default");
  EXPECT_EQ(two.form, LockForm::kMalformed);
  EXPECT_EQ(two.problem,
            "malformed lock annotation: expected 3 parts, got 2 from 2026-06-14T15:05:03Z,default");
  EXPECT_EQ(ParseNodeLock("a,b,c,d").problem,
            "malformed lock annotation: expected 3 parts, got 4 from a,b,c,d");
  EXPECT_EQ(ParseNodeLock("yesterday,default,p").form, LockForm::kMalformed);
  EXPECT_EQ(ParseNodeLock("garbage").form, LockForm::kMalformed);
  EXPECT_EQ(ParseNodeLock("2026-06-14T15:05:03Z,,p").form, LockForm::kMalformed);
}

TEST(NodeLockTest, ALockFromTheFutureIsValid) {
  NodeLock lock = ParseNodeLock(kValue);
  WallTime before = kTaken - 1h;
  EXPECT_EQ(LockAge(lock, before, before), -1h);
  EXPECT_FALSE(LockExpired(lock, before, before, kNodeLockTimeout));
}

TEST(NodeLockTest, ALockExpiresAfterItsTimeout) {
  NodeLock lock = ParseNodeLock(kValue);
  EXPECT_FALSE(LockExpired(lock, kTaken, kTaken + 5min, kNodeLockTimeout));
  EXPECT_TRUE(LockExpired(lock, kTaken, kTaken + 5min + 1ns, kNodeLockTimeout));
  EXPECT_FALSE(LockExpired(NodeLock{}, kTaken, kTaken + 1h, kNodeLockTimeout));
}

// Trap: in the reference a malformed value with a comma blocks its node until somebody deletes it.
TEST(NodeLockTest, AMalformedLockAgesFromFirstSight) {
  NodeLock lock = ParseNodeLock("a,b");
  WallTime seen = kTaken;
  EXPECT_FALSE(LockExpired(lock, seen, seen + 5min, kNodeLockTimeout));
  EXPECT_TRUE(LockExpired(lock, seen, seen + 5min + 1s, kNodeLockTimeout));
  EXPECT_FALSE(HeldBy(lock, kPod, ""));
  EXPECT_FALSE(MayRelease(lock, kPod, "", "a,b"));
}

// Trap: a recreated Pod of a StatefulSet inherits the lock of its namesake.
// Found by fuzz/node_lock: its age overflowed and was negative, so that it never expired.
TEST(NodeLockTest, ALockOfAnImpossibleAgeIsMalformedAndExpires) {
  NodeLock lock = ParseNodeLock("1725-02-14T15:05:03Z,default,p");
  WallTime now(std::chrono::seconds(1781449503));
  EXPECT_EQ(lock.form, LockForm::kMalformed);
  EXPECT_FALSE(LockExpired(lock, now, now, kNodeLockTimeout));
  EXPECT_TRUE(LockExpired(lock, now, now + std::chrono::minutes(6), kNodeLockTimeout));
}

TEST(NodeLockTest, ARecreatedPodDoesNotInheritTheLock) {
  NodeLock lock = ParseNodeLock(kValue, "old");
  EXPECT_TRUE(HeldBy(lock, kPod, "old"));
  EXPECT_FALSE(HeldBy(lock, kPod, "new"));
  EXPECT_FALSE(MayRelease(lock, kPod, "new"));
  EXPECT_TRUE(HeldBy(ParseNodeLock(kValue), kPod, "new"));  // legacy schedulers write no uid
  EXPECT_FALSE(HeldBy(lock, {"default", "gang-pod-11"}, "old"));
  EXPECT_FALSE(HeldBy(lock, {"other", "gang-pod-1"}, "old"));
}

// Trap: the reference removes a valid bare lock of somebody else.
TEST(NodeLockTest, ABareLockIsReleasedByItsTextOnly) {
  NodeLock lock = ParseNodeLock("2026-06-14T15:05:03Z");
  EXPECT_FALSE(MayRelease(lock, kPod, "u"));
  EXPECT_FALSE(MayRelease(lock, kPod, "u", "2026-06-14T15:05:04Z"));
  EXPECT_TRUE(MayRelease(lock, kPod, "u", "2026-06-14T15:05:03Z"));
}

TEST(NodeLockTest, AnOwnerWithoutALockMeansNothing) {
  Node node;
  node.annotations[std::string(kMutexOwnerUid)] = "u";
  EXPECT_EQ(ReadNodeLock(node), NodeLock{});
}

TEST(NodeLockTest, ContentionReadsAsInTheReference) {
  EXPECT_EQ(ContentionText("n1", kNodeLockTimeout),
            "node n1 has been locked within 5m0s: node lock contention");
}

RC_GTEST_PROP(NodeLockProperty, RoundTrips, ()) {
  auto word = rc::gen::nonEmpty(
      rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc-09."))));
  PodKey pod{*word, *word};
  WallTime t(std::chrono::seconds(*rc::gen::inRange<int64_t>(0, 4'000'000'000)));
  NodeLock lock = ParseNodeLock(FormatNodeLock(t, pod));
  RC_ASSERT(lock.form == LockForm::kOwned);
  RC_ASSERT(lock.holder == pod);
  RC_ASSERT(lock.taken == t);
}

}  // namespace
}  // namespace hami::protocol

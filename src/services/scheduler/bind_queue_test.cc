#include "services/scheduler/bind_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace hami::scheduler {
namespace {

using namespace std::chrono_literals;

// An API server for one node, answering at the next turn of the executor; a plugin that the test
// plays.
class FakePort : public BindPort {
 public:
  explicit FakePort(ManualExecutor& executor) : executor_(executor) {}

  LockView Now() {
    return {std::to_string(version), protocol::ParseNodeLock(lock_text, owner_uid)};
  }
  void TakeLock(const BindJob& job, const LockView& seen, LockDone done) override {
    ++takes;
    Answer(seen, std::move(done), [this, job] {
      lock_text = protocol::FormatNodeLock(executor_.clock().Now(), job.pod);
      owner_uid = job.uid;
    });
  }
  void ReleaseLock(const std::string&, const LockView& seen, LockDone done) override {
    ++releases;
    Answer(seen, std::move(done), [this] { lock_text = owner_uid = ""; });
  }
  void ReadLock(const std::string&, LockDone done) override {
    ++reads;
    executor_.Post([this, done] { done(Now()); });
  }
  void PostBinding(const BindJob& job, std::function<void(Result<void>)> done) override {
    bound.push_back(job.uid);
    executor_.Post([this, done, job] {
      if (bind_error) return done(Fail(*bind_error));
      done({});
    });
  }
  HolderState StateOf(const std::string&, const protocol::NodeLock&) override { return holder; }

  std::string lock_text, owner_uid;
  int version = 1;
  int takes = 0, releases = 0, reads = 0;
  std::vector<std::string> bound;
  std::optional<Error> bind_error;
  HolderState holder = HolderState::kWaiting;

 private:
  void Answer(const LockView& seen, LockDone done, std::function<void()> change) {
    executor_.Post([this, seen, done, change] {
      if (seen.resource_version != std::to_string(version)) {
        return done(Fail(Code::kConflict, "the object has been modified"));
      }
      change();
      ++version;
      done(Now());
    });
  }
  ManualExecutor& executor_;
};

class BindQueueTest : public testing::Test {
 protected:
  void Submit(const std::string& uid, Duration wait = 27s) {
    queue_.Submit({.uid = uid,
                   .pod = {"default", uid},
                   .node = "n1",
                   .deadline = clock_.Mono() + wait,
                   .done = [this, uid](Result<void> r) {
                     results_.emplace_back(uid, r ? "" : r.error().message);
                   }});
  }
  void Observe() { queue_.Observe("n1", port_.Now()); }
  // What the node's plugin does when Allocate is over.
  void PluginReleases() {
    port_.lock_text = port_.owner_uid = "";
    ++port_.version;
    Observe();
  }
  std::vector<std::pair<std::string, std::string>> Results() { return std::exchange(results_, {}); }
  using Rows = std::vector<std::pair<std::string, std::string>>;

  FakeClock clock_;
  ManualExecutor executor_{clock_};
  FakePort port_{executor_};
  BindQueue queue_{executor_, port_, {}};
  Rows results_;
};

TEST_F(BindQueueTest, BindsInOrderOfArrivalOneUnderTheLockAtATime) {
  Observe();
  for (const char* uid : {"a", "b", "c"}) Submit(uid);
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
  EXPECT_EQ(port_.bound, std::vector<std::string>{"a"});
  PluginReleases();
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"b", ""}}));
  PluginReleases();
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"c", ""}}));
  EXPECT_EQ(port_.takes, 3);
  EXPECT_EQ(port_.reads, 0);  // the watch is enough
}

// Complaint 1130, 810: a node stays locked for five minutes.
TEST_F(BindQueueTest, LockOfAHolderThatIsOverIsReleasedAtOnce) {
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "gone"});
  port_.holder = HolderState::kOver;
  Observe();
  Submit("a");
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
  EXPECT_EQ(port_.releases, 1);
}

TEST_F(BindQueueTest, SilentHolderLosesTheNodeLockAfterTheTimeout) {
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "silent"});
  Observe();
  Submit("a", 10min);
  executor_.Advance(5min - 1s);
  EXPECT_EQ(port_.releases, 0);
  executor_.Advance(2s);
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
}

TEST_F(BindQueueTest, LockOfAnUnknownOrUnboundHolderIsAnOrphanAfterAWhile) {
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "x"});
  port_.holder = HolderState::kUnbound;
  Observe();
  Submit("a");
  executor_.Advance(9s);
  EXPECT_EQ(port_.releases, 0);
  executor_.Advance(2s);
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
}

TEST_F(BindQueueTest, WaitingBindFailsAtItsDeadlineWithTheReferencesText) {
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "busy"});
  Observe();
  Submit("a", 27s);
  executor_.Advance(28s);
  auto results = Results();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(
      results[0].second.starts_with("node n1 has been locked within 5m0s: node lock contention"))
      << results[0].second;
  EXPECT_NE(results[0].second.find("default/busy"), std::string::npos);
}

// Trap of spec/protocol.md 5: a malformed value blocks the reference until somebody deletes it.
TEST_F(BindQueueTest, MalformedLockAgesFromFirstSight) {
  port_.lock_text = "nonsense,with a comma";
  Observe();
  Submit("a", 10min);
  executor_.Advance(4min);
  Observe();
  EXPECT_EQ(port_.releases, 0);
  executor_.Advance(61s);
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
}

TEST_F(BindQueueTest, FailedBindReleasesTheLockBeforeItAnswers) {
  Observe();
  port_.bind_error = Error{Code::kConflict, "pod is being deleted"};
  Submit("a");
  Submit("b");
  executor_.RunReady();
  auto results = Results();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].second, "pod is being deleted");
  EXPECT_EQ(port_.lock_text, "");
  EXPECT_EQ(port_.releases, 2);
}

TEST_F(BindQueueTest, ConflictWaitsForTheWatchAndThenTriesAgain) {
  Observe();
  ++port_.version;  // somebody changed the node meanwhile
  Submit("a");
  executor_.RunReady();
  EXPECT_TRUE(Results().empty());
  EXPECT_EQ(port_.takes, 1);
  Observe();
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
}

TEST_F(BindQueueTest, ConflictWithABrokenWatchIsSettledByReading) {
  Observe();
  ++port_.version;
  Submit("a");
  executor_.Advance(1s);
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
  EXPECT_EQ(port_.reads, 1);
}

TEST_F(BindQueueTest, OlderObservationsDoNotBringAReleasedLockBack) {
  Observe();
  Submit("a");
  executor_.RunReady();
  LockView locked = port_.Now();
  PluginReleases();
  queue_.Observe("n1", locked);  // late
  Submit("b");
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"a", ""}, {"b", ""}}));
}

TEST_F(BindQueueTest, HolderWhoseSchedulerDiedContinuesUnderItsOwnLock) {
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "a"});
  port_.owner_uid = "a";
  Observe();
  Submit("a");
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
  EXPECT_EQ(port_.takes, 0);
}

// A killed extender's lock: its Pod comes again, behind others, which cannot have the lock before
// it.
TEST_F(BindQueueTest, HolderWhoseSchedulerDiedComesBeforeThoseThatWaitForItsLock) {
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "c"});
  port_.owner_uid = "c";
  Observe();
  for (const char* uid : {"a", "b", "c"}) Submit(uid);
  executor_.RunReady();
  EXPECT_EQ(Results(), (Rows{{"c", ""}}));
  for (const char* uid : {"a", "b"}) {
    PluginReleases();
    executor_.RunReady();
    EXPECT_EQ(Results(), (Rows{{uid, ""}}));
  }
}

// Two Pods that wait for one another's old lock on two nodes, until both give up after 27 s.
TEST_F(BindQueueTest, LockOfAPodThatIsBoundElsewhereNowIsKeptAsLongAsItsOldBindingMayCome) {
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "moved"});
  port_.holder = HolderState::kMoved;
  Observe();
  Submit("a");
  executor_.Advance(2900ms);
  EXPECT_EQ(port_.releases, 0);
  executor_.Advance(600ms);
  EXPECT_EQ(Results(), (Rows{{"a", ""}}));
}

TEST_F(BindQueueTest, GoneNodeFailsItsJobsAndDestructionAnswersTheRest) {
  {
    BindQueue queue(executor_, port_, {});
    queue.Submit(
        {.uid = "z",
         .pod = {"default", "z"},
         .node = "n2",
         .deadline = clock_.Mono() + 9s,
         .done = [this](Result<void> r) { results_.emplace_back("z", r.error().message); }});
  }
  EXPECT_EQ(Results().size(), 1u);
  port_.lock_text = protocol::FormatNodeLock(clock_.Now(), {"default", "busy"});
  Observe();
  Submit("a");
  queue_.Forget("n1");
  EXPECT_EQ(Results(), (Rows{{"a", "node \"n1\" not found"}}));
  executor_.RunReady();  // the answers that were under way find nobody
}

}  // namespace
}  // namespace hami::scheduler

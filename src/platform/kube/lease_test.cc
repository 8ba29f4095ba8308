#include "platform/kube/lease.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "platform/kube/time.h"
#include "tests/fake_apiserver/fake_apiserver.h"

namespace hami::kube {
namespace {

using std::chrono::seconds;

constexpr char kLeases[] = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

TEST(LeaseHolderNameTest, TheWholeHostNameMustMatch) {
  EXPECT_TRUE(HolderIs("dev_0b1f", "dev"));
  EXPECT_TRUE(HolderIs("a_b_0b1f", "a_b"));
  // The reference compares prefixes: host `dev` then leads for `dev-server` (its issue 2154).
  EXPECT_FALSE(HolderIs("dev-server_0b1f", "dev"));
  EXPECT_FALSE(HolderIs("a_b_0b1f", "a"));
  EXPECT_FALSE(HolderIs("dev", "dev"));
  EXPECT_FALSE(HolderIs("", ""));
  EXPECT_FALSE(HolderIs("_x", ""));
}

TEST(DecodeLeaseTest, ReadsTheSpecAndToleratesAbsence) {
  auto lease = DecodeLease(
      R"({"metadata":{"resourceVersion":"5"},"spec":{"holderIdentity":"h_1","leaseDurationSeconds":15,)"
      R"("leaseTransitions":3,"renewTime":"2026-01-02T03:04:05.000006Z"}})");
  ASSERT_TRUE(lease) << lease.error().message;
  EXPECT_EQ(lease->holder, "h_1");
  EXPECT_EQ(lease->duration, seconds(15));
  EXPECT_EQ(lease->transitions, 3);
  EXPECT_EQ(FormatMicroTime(lease->renew_time), "2026-01-02T03:04:05.000006Z");
  EXPECT_TRUE(DecodeLease(R"({"spec":{"holderIdentity":null}})"));
  EXPECT_FALSE(DecodeLease(R"({"spec":{"renewTime":"yesterday"}})"));
}

class LeaseViewTest : public testing::Test {
 protected:
  LeaseViewTest() : view_({.identity = "host"}) {}
  void Observe(const std::string& holder, int64_t transitions, Duration heard_late = Duration(0)) {
    LeaseRecord record;
    record.holder = holder;
    record.duration = seconds(15);
    record.renew_time = clock_.Now() - heard_late;
    record.transitions = transitions;
    view_.Observe(record, clock_.Now(), clock_.Mono());
    last_ = record;
  }
  Leadership Now() { return view_.At(clock_.Mono()); }

  FakeClock clock_;
  LeaseView view_;
  LeaseRecord last_;
};

TEST_F(LeaseViewTest, NobodyLeadsWithoutALease) { EXPECT_FALSE(Now().leader); }

TEST_F(LeaseViewTest, LeadsWhileTheLeaseIsFresh) {
  Observe("host_1", 4);
  EXPECT_TRUE(Now().leader);
  EXPECT_EQ(Now().term, 4);
  EXPECT_EQ(view_.NextChange(clock_.Mono()), clock_.Mono() + seconds(15));
  clock_.Advance(seconds(15) - std::chrono::nanoseconds(1));
  EXPECT_TRUE(Now().leader);
  clock_.Advance(std::chrono::nanoseconds(1));
  EXPECT_FALSE(Now().leader);
  EXPECT_EQ(view_.NextChange(clock_.Mono()), MonoTime::max());
}

TEST_F(LeaseViewTest, BindingsEndAtTheRenewDeadlineBeforeTheLeaseDoes) {
  Observe("host_1", 4);
  EXPECT_EQ(Now().until, clock_.Mono() + seconds(10));
}

TEST_F(LeaseViewTest, ARenewalHeardLateMovesTheDeadlineByItsOwnTime) {
  Observe("host_1", 4, seconds(4));
  EXPECT_EQ(Now().until, clock_.Mono() + seconds(6));
}

TEST_F(LeaseViewTest, ARenewalFromTheFutureCountsFromNow) {
  Observe("host_1", 4, -seconds(100));
  EXPECT_EQ(Now().until, clock_.Mono() + seconds(10));
}

TEST_F(LeaseViewTest, TheSameRecordAgainProlongsNothing) {
  Observe("host_1", 4);
  clock_.Advance(seconds(14));
  view_.Observe(last_, clock_.Now(), clock_.Mono());  // a relist
  clock_.Advance(seconds(1));
  EXPECT_FALSE(Now().leader);
}

TEST_F(LeaseViewTest, AnotherHolderOrADeletionEndsLeadership) {
  Observe("host_1", 4);
  Observe("other_1", 5);
  EXPECT_FALSE(Now().leader);
  EXPECT_EQ(Now().holder, "other_1");
  Observe("host_2", 6);
  EXPECT_EQ(Now().term, 6);
  view_.ObserveDeleted();
  EXPECT_FALSE(Now().leader);
  EXPECT_EQ(Now().holder, "");
}

// Collects what OnChange says.
class Changes {
 public:
  std::function<void(const Leadership&)> Callback() {
    return [this](const Leadership& l) {
      std::lock_guard lock(mutex_);
      seen_.push_back(l);
      changed_.notify_all();
    };
  }
  Leadership Next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !seen_.empty(); });
    Leadership out = seen_.front();
    seen_.pop_front();
    return out;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Leadership> seen_;
};

class LeaseTest : public testing::Test {
 protected:
  LeaseTest() {
    Config config;
    config.server = server_.url();
    client_ = std::move(*Client::Create(loop_, config, {}));
  }
  static std::string LeaseJson(const std::string& holder, int transitions, int duration = 15) {
    return R"({"metadata":{"name":"kube-scheduler"},"spec":{"holderIdentity":")" + holder +
           R"(","leaseDurationSeconds":)" + std::to_string(duration) + R"(,"renewTime":")" +
           FormatMicroTime(SystemClock().Now()) + R"(","leaseTransitions":)" +
           std::to_string(transitions) + "}}";
  }
  LeaseHolderOptions HolderOptions(const std::string& identity) {
    LeaseHolderOptions options;
    options.ns = "kube-system";
    options.name = "own";
    options.identity = identity;
    options.retry = std::chrono::milliseconds(20);
    return options;
  }

  net::Loop loop_;
  fake::FakeApiServer server_;
  std::unique_ptr<Client> client_;
  ThreadExecutor executor_{"lease"};
};

TEST_F(LeaseTest, TheFollowerTellsEveryChange) {
  Changes changes;
  LeaseFollower follower(*client_, executor_, {.identity = "host"}, changes.Callback());
  EXPECT_FALSE(changes.Next().leader);  // known: there is none
  server_.Create(kLeases, LeaseJson("host_1", 1));
  Leadership first = changes.Next();
  EXPECT_TRUE(first.leader);
  EXPECT_EQ(first.term, 1);
  server_.Patch(std::string(kLeases) + "/kube-scheduler", LeaseJson("other_1", 2));
  EXPECT_FALSE(changes.Next().leader);
  server_.Patch(std::string(kLeases) + "/kube-scheduler", LeaseJson("host_1", 3));
  EXPECT_EQ(changes.Next().term, 3);
  EXPECT_TRUE(follower.current().leader);
  server_.Delete(std::string(kLeases) + "/kube-scheduler");
  EXPECT_FALSE(changes.Next().leader);
  EXPECT_FALSE(follower.current().leader);
}

TEST_F(LeaseTest, ALeaseThatIsNotRenewedRunsOut) {
  server_.Create(kLeases, LeaseJson("host_1", 1, 1));
  Changes changes;
  LeaseFollower follower(*client_, executor_, {.identity = "host"}, changes.Callback());
  EXPECT_TRUE(changes.Next().leader);
  EXPECT_FALSE(changes.Next().leader);  // after a second, by time alone
}

TEST_F(LeaseTest, RenewalsMoveUntilWithoutACall) {
  server_.Create(kLeases, LeaseJson("host_1", 1));
  Changes changes;
  LeaseFollower follower(*client_, executor_, {.identity = "host"}, changes.Callback());
  MonoTime before = changes.Next().until;
  server_.AwaitWatches("leases", 1);
  server_.Patch(std::string(kLeases) + "/kube-scheduler", LeaseJson("host_1", 1));
  while (follower.current().until == before) std::this_thread::yield();
  EXPECT_GT(follower.current().until, before);
}

TEST_F(LeaseTest, AHolderAcquiresRenewsAndGivesBack) {
  std::string path = std::string(kLeases) + "/own";
  {
    Changes changes;
    LeaseHolder holder(*client_, executor_, HolderOptions("a_1"), changes.Callback());
    Leadership got = changes.Next();
    EXPECT_TRUE(got.leader);
    EXPECT_EQ(got.term, 0);
    EXPECT_EQ(StringAt(server_.Get(path), {"spec", "holderIdentity"}), "a_1");
    server_.AwaitRequests(fake::On("PUT", "leases/own"), 2);
    EXPECT_GT(holder.current().until, got.until);
  }
  EXPECT_EQ(StringAt(server_.Get(path), {"spec", "holderIdentity"}), "");
}

TEST_F(LeaseTest, TheNextHolderTakesOverAtOnceAfterAGoodBye) {
  Changes first_changes;
  Changes second_changes;
  auto first = std::make_unique<LeaseHolder>(*client_, executor_, HolderOptions("a_1"),
                                             first_changes.Callback());
  EXPECT_TRUE(first_changes.Next().leader);
  LeaseHolder second(*client_, executor_, HolderOptions("b_1"), second_changes.Callback());
  Leadership waiting = second_changes.Next();
  EXPECT_FALSE(waiting.leader);
  EXPECT_EQ(waiting.holder, "a_1");
  first.reset();
  for (Leadership l = second_changes.Next(); !l.leader;) l = second_changes.Next();
  EXPECT_EQ(second.current().term, 1);
}

TEST_F(LeaseTest, AHolderThatCannotRenewStopsLeadingAtItsDeadline) {
  LeaseHolderOptions options = HolderOptions("a_1");
  options.renew_deadline = std::chrono::milliseconds(200);
  Changes changes;
  LeaseHolder holder(*client_, executor_, options, changes.Callback());
  EXPECT_TRUE(changes.Next().leader);
  server_.Inject({.match = fake::On("PUT", "leases/own"), .times = 1'000'000, .status = 500});
  EXPECT_FALSE(changes.Next().leader);
  EXPECT_FALSE(holder.current().leader);
}

TEST_F(LeaseTest, OnlyOneOfManyHoldersLeads) {
  std::vector<std::unique_ptr<Changes>> changes;
  std::vector<std::unique_ptr<LeaseHolder>> holders;
  for (int i = 0; i < 5; ++i) {
    changes.push_back(std::make_unique<Changes>());
    holders.push_back(std::make_unique<LeaseHolder>(
        *client_, executor_, HolderOptions("h_" + std::to_string(i)), changes.back()->Callback()));
  }
  int leaders = 0;
  for (auto& c : changes) leaders += c->Next().leader;
  EXPECT_EQ(leaders, 1);
}

}  // namespace
}  // namespace hami::kube

#include "platform/kube/reflector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>

#include "base/json.h"
#include "tests/fake_apiserver/fake_apiserver.h"
#include "tests/fake_apiserver/mirror.h"

namespace hami::kube {
namespace {

using fake::OnList;
using fake::OnWatch;

constexpr char kPods[] = "/api/v1/namespaces/a/pods";

using fake::Mirror;

std::string PodJson(const std::string& name, const std::string& value) {
  return R"({"metadata":{"name":")" + name + R"(","annotations":{"v":")" + value + R"("}}})";
}

class ReflectorTest : public testing::Test {
 protected:
  ReflectorTest() {
    Config config;
    config.server = server_.url();
    ClientOptions options;
    options.qps = 0;
    client_ = std::move(*Client::Create(loop_, config, options));
    options_.path = kPods;
    options_.min_backoff = std::chrono::milliseconds(5);
    options_.max_backoff = std::chrono::milliseconds(50);
  }
  void Reflect() {
    reflector_ = std::make_unique<Reflector>(*client_, executor_, options_, mirror_);
  }
  void Add(const std::string& name, const std::string& value = "1") {
    server_.Create(kPods, PodJson(name, value));
  }
  void Set(const std::string& name, const std::string& value) {
    server_.Patch(std::string(kPods) + "/" + name, PodJson(name, value));
  }
  void Remove(const std::string& name) { server_.Delete(std::string(kPods) + "/" + name); }

  net::Loop loop_;
  fake::FakeApiServer server_;
  std::unique_ptr<Client> client_;
  ThreadExecutor executor_{"test"};
  Mirror mirror_;
  ReflectorOptions options_;
  std::unique_ptr<Reflector> reflector_;
};

TEST_F(ReflectorTest, ListsInPagesThenFollows) {
  options_.page = 3;
  for (int i = 0; i < 10; ++i) Add("p" + std::to_string(i));
  Reflect();
  mirror_.AwaitLists(1);
  EXPECT_EQ(mirror_.world_.size(), 10u);
  EXPECT_EQ(server_.CountRequests(OnList("pods")), 4);
  Set("p1", "2");
  Remove("p2");
  Add("q");
  mirror_.Await([&] {
    return mirror_.world_.contains("q") && !mirror_.world_.contains("p2") &&
           mirror_.world_["p1"] == "2";
  });
  auto stats = reflector_->stats();
  EXPECT_EQ(stats.lists, 1u);
  EXPECT_EQ(stats.watches, 1u);
  EXPECT_EQ(stats.errors, 0u);
}

TEST_F(ReflectorTest, AnEmptyCollectionIsInStepToo) {
  Reflect();
  mirror_.AwaitLists(1);
  Add("p");
  mirror_.AwaitWorld({{"p", "1"}});
}

TEST_F(ReflectorTest, SelectorsAreSentAndObjectsThatLeaveThemAreDeleted) {
  options_.path = "/api/v1/pods";
  options_.label_selector = "gpu=on,!skip";
  options_.field_selector = "metadata.namespace=a";
  server_.Create(kPods, R"({"metadata":{"name":"in","labels":{"gpu":"on"}}})");
  server_.Create(kPods, R"({"metadata":{"name":"out","labels":{"gpu":"off"}}})");
  server_.Create("/api/v1/namespaces/b/pods", R"({"metadata":{"name":"b","labels":{"gpu":"on"}}})");
  Reflect();
  mirror_.AwaitWorld({{"in", ""}});
  server_.AwaitWatches("pods", 1);
  server_.Patch(std::string(kPods) + "/in", R"({"metadata":{"labels":{"skip":"x"}}})");
  mirror_.AwaitWorld({});
}

TEST_F(ReflectorTest, ACutWatchResumesWithoutAList) {
  Add("p");
  Reflect();
  server_.AwaitWatches("pods", 1);
  server_.CutWatches();
  server_.AwaitRequests(OnWatch("pods"), 2);
  Set("p", "2");
  mirror_.AwaitWorld({{"p", "2"}});
  EXPECT_EQ(reflector_->stats().lists, 1u);
  EXPECT_EQ(reflector_->stats().errors, 1u);
}

TEST_F(ReflectorTest, AWatchEndedInGoodOrderResumes) {
  Add("p");
  Reflect();
  server_.AwaitWatches("pods", 1);
  server_.EndWatches();
  server_.AwaitRequests(OnWatch("pods"), 2);
  Set("p", "2");
  mirror_.AwaitWorld({{"p", "2"}});
  EXPECT_EQ(reflector_->stats().lists, 1u);
  EXPECT_EQ(reflector_->stats().errors, 0u);
}

// Every position of the cut: inside the frame, at its end, behind it.
TEST_F(ReflectorTest, NothingIsLostWhereverTheStreamIsCut) {
  Add("p", "0");
  for (int bytes = 1; bytes <= 260; bytes += 7) {
    server_.Inject({.match = OnWatch("pods"), .cut_after = bytes});
  }
  Reflect();
  mirror_.AwaitLists(1);
  for (int i = 1; i <= 20; ++i) Set("p", std::to_string(i));
  mirror_.AwaitWorld({{"p", "20"}});
  EXPECT_EQ(reflector_->stats().lists, 1u);
}

TEST_F(ReflectorTest, GoneAsAnAnswerListsAgain) {
  Add("p");
  Add("gone");
  Reflect();
  server_.AwaitWatches("pods", 1);
  server_.Stop();
  Set("p", "2");
  Remove("gone");
  server_.Compact();
  server_.Start();
  mirror_.AwaitWorld({{"p", "2"}});
  EXPECT_EQ(reflector_->stats().lists, 2u);
}

TEST_F(ReflectorTest, GoneAsAnErrorEventListsAgain) {
  Add("p");
  server_.Inject(
      {.match = OnWatch("pods"), .status = 410, .reason = "Expired", .error_event = true});
  Reflect();
  mirror_.AwaitLists(2);
  server_.AwaitWatches("pods", 1);
  Set("p", "2");
  mirror_.AwaitWorld({{"p", "2"}});
}

TEST_F(ReflectorTest, PagesThatExpireStartOverWithLargerOnes) {
  options_.page = 2;
  for (int i = 0; i < 9; ++i) Add("p" + std::to_string(i));
  server_.Inject({.match =
                      [](const fake::LoggedRequest& r) {
                        return r.query.find("continue=") != std::string::npos;
                      },
                  .status = 410,
                  .reason = "Expired"});
  Reflect();
  mirror_.AwaitLists(1);
  EXPECT_EQ(mirror_.begins_, 2);
  EXPECT_EQ(mirror_.world_.size(), 9u);
  auto requests = server_.requests();
  EXPECT_NE(requests[2].query.find("limit=16"), std::string::npos) << requests[2].query;
}

TEST_F(ReflectorTest, FailedListsAreRepeatedUntilTheyWork) {
  Add("p");
  server_.Inject({.match = OnList("pods"), .times = 3, .status = 500});
  // The first break of a reused connection is the client's to repair.
  server_.Inject({.match = OnList("pods"), .times = 2, .close_early = true});
  server_.Inject({.match = OnList("pods"), .cut_after = 20});
  Reflect();
  mirror_.AwaitWorld({{"p", "1"}});
  EXPECT_EQ(reflector_->stats().errors, 5u);
}

TEST_F(ReflectorTest, ARefusedWatchBacksOffAndResumes) {
  Add("p");
  server_.Inject({.match = OnWatch("pods"), .times = 3, .status = 429});
  server_.Inject({.match = OnWatch("pods"), .times = 2, .status = 500});
  Reflect();
  server_.AwaitWatches("pods", 1);
  Set("p", "2");
  mirror_.AwaitWorld({{"p", "2"}});
  EXPECT_EQ(reflector_->stats().lists, 1u);
  EXPECT_EQ(reflector_->stats().errors, 5u);
}

TEST_F(ReflectorTest, DuplicatedEventsDoNoHarm) {
  server_.DuplicateEvents(true);
  Reflect();
  server_.AwaitWatches("pods", 1);
  Add("p");
  Add("q");
  Set("p", "2");
  Remove("q");
  mirror_.AwaitWorld({{"p", "2"}});
  EXPECT_GE(reflector_->stats().events, 7u);
}

TEST_F(ReflectorTest, BookmarksMoveTheResumePointAndAreNotDelivered) {
  Add("p");
  Reflect();
  server_.AwaitWatches("pods", 1);
  server_.Create("/api/v1/nodes", R"({"metadata":{"name":"n"}})");  // no event for this watch
  server_.SendBookmarks();
  while (reflector_->stats().bookmarks == 0) std::this_thread::yield();
  server_.Compact();  // without the bookmark the resume point would be gone now
  server_.CutWatches();
  server_.AwaitRequests(OnWatch("pods"), 2);
  Set("p", "2");
  mirror_.AwaitWorld({{"p", "2"}});
  EXPECT_EQ(reflector_->stats().lists, 1u);
  EXPECT_EQ(mirror_.upserts_, 2);
}

TEST_F(ReflectorTest, AMalformedFrameListsAgain) {
  Add("p");
  for (const char* frame : {"{\"type\":\"ADDED\",\"object\":{}}\n", "not json\n",
                            "{\"type\":\"SURPRISE\",\"object\":{}}\n"}) {
    server_.Inject({.match = OnWatch("pods"), .watch_prefix = frame});
  }
  Reflect();
  mirror_.AwaitLists(4);
  server_.AwaitWatches("pods", 1);
  Set("p", "2");
  mirror_.AwaitWorld({{"p", "2"}});
}

TEST_F(ReflectorTest, AServerThatStaysAwayIsToldOnceAndFreshnessTooWhenItIsBack) {
  options_.stale_after = std::chrono::milliseconds(30);
  Add("p");
  Reflect();
  server_.AwaitWatches("pods", 1);
  server_.Stop();
  mirror_.Await([&] { return mirror_.stale_; });
  server_.Start();
  mirror_.Await([&] { return !mirror_.stale_; });
  EXPECT_EQ(mirror_.stales_, 1);
  EXPECT_EQ(reflector_->stats().lists, 1u);
  Set("p", "2");
  mirror_.AwaitWorld({{"p", "2"}});
}

TEST_F(ReflectorTest, AServerThatWasNeverThereIsStaleToo) {
  options_.stale_after = std::chrono::milliseconds(30);
  server_.Stop();
  Reflect();
  mirror_.Await([&] { return mirror_.stale_; });
  server_.Start();
  mirror_.AwaitLists(1);
  EXPECT_FALSE(mirror_.stale_);
}

TEST_F(ReflectorTest, NoCallComesAfterTheDestructor) {
  for (int round = 0; round < 20; ++round) {
    auto mirror = std::make_unique<Mirror>();
    Reflector reflector(*client_, executor_, options_, *mirror);
    if (round % 2 == 0) mirror->AwaitLists(1);
    Add("p" + std::to_string(round));
    // reflector dies here, then the mirror: a late call would be a use after free (ASan)
  }
}

TEST_F(ReflectorTest, MayBeDestroyedFromInsideItsObserver) {
  struct Suicidal final : Observer {
    void OnListBegin() override {}
    void OnUpsert(std::string_view) override {}
    void OnDelete(std::string_view) override {}
    void OnListEnd() override {
      reflector->reset();
      done.set_value();
    }
    void OnStale(Duration) override {}
    std::unique_ptr<Reflector>* reflector = nullptr;
    std::promise<void> done;
  } observer;
  observer.reflector = &reflector_;
  executor_.Post([&] {  // on the executor, so that the pointer is set before the first call
    reflector_ = std::make_unique<Reflector>(*client_, executor_, options_, observer);
  });
  observer.done.get_future().wait();
}

TEST_F(ReflectorTest, ALargeObjectArrivesWhole) {
  std::string value(3 << 20, 'v');
  Reflect();
  server_.AwaitWatches("pods", 1);
  Add("large", value);
  mirror_.AwaitWorld({{"large", value}});
}

}  // namespace
}  // namespace hami::kube

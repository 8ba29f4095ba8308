#include "platform/kube/events.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "base/json.h"
#include "tests/fake_apiserver/fake_apiserver.h"

namespace hami::kube {
namespace {

using fake::On;

class EventsTest : public testing::Test {
 protected:
  EventsTest() {
    Config config;
    config.server = server_.url();
    client_ = std::move(*Client::Create(loop_, config, {}));
    recorder_ = std::make_unique<EventRecorder>(*client_, "hami-scheduler", "host1");
    pod_.key = {"a", "p"};
    pod_.uid = "u1";
    pod_.resource_version = "7";
  }
  std::vector<Json> Events(const std::string& ns = "a") {
    auto page = server_.store().List(*fake::ParseResourcePath(EventsOf(ns)),
                                     fake::Selector::Fields(""), fake::Selector::Labels(""), 0, "");
    return page->items;
  }
  static std::string EventsOf(const std::string& ns) {
    return "/api/v1/namespaces/" + ns + "/events";
  }
  // Until one Event with that count is there.
  Json AwaitCount(int64_t count) {
    for (;;) {
      for (const Json& event : Events()) {
        if (IntAt(event, {"count"}) == count) return event;
      }
      std::this_thread::yield();
    }
  }

  net::Loop loop_;
  fake::FakeApiServer server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<EventRecorder> recorder_;
  Pod pod_;
};

TEST_F(EventsTest, AnEventNamesItsObjectAndItsSource) {
  recorder_->Emit(RefOf(pod_), EventType::kWarning, "FilteringFailed", "no card fits");
  Json event = AwaitCount(1);
  EXPECT_EQ(StringAt(event, {"involvedObject", "kind"}), "Pod");
  EXPECT_EQ(StringAt(event, {"involvedObject", "name"}), "p");
  EXPECT_EQ(StringAt(event, {"involvedObject", "namespace"}), "a");
  EXPECT_EQ(StringAt(event, {"involvedObject", "uid"}), "u1");
  EXPECT_EQ(StringAt(event, {"source", "component"}), "hami-scheduler");
  EXPECT_EQ(StringAt(event, {"source", "host"}), "host1");
  EXPECT_EQ(StringAt(event, {"type"}), "Warning");
  EXPECT_EQ(StringAt(event, {"reason"}), "FilteringFailed");
  EXPECT_EQ(StringAt(event, {"message"}), "no card fits");
  EXPECT_TRUE(StringAt(event, {"metadata", "name"}).starts_with("p."));
}

// Complaint: control characters of a user's annotation went into Events as they were.
TEST_F(EventsTest, ControlCharactersBecomeVisible) {
  recorder_->Emit(RefOf(pod_), EventType::kWarning, "FilteringFailed", "type h\x1b[2J\n");
  EXPECT_EQ(StringAt(AwaitCount(1), {"message"}), "type h\\x1b[2J\\n");
}

TEST_F(EventsTest, IdenticalEventsRaiseTheCountOfOne) {
  for (int i = 0; i < 10; ++i) {
    recorder_->Emit(RefOf(pod_), EventType::kWarning, "FilteringFailed", "no card fits");
  }
  AwaitCount(10);
  EXPECT_EQ(Events().size(), 1u);
  recorder_->Emit(RefOf(pod_), EventType::kWarning, "FilteringFailed", "another text");
  AwaitCount(1);
  EXPECT_EQ(Events().size(), 2u);
  Pod other = pod_;
  other.uid = "u2";  // same name, another life
  recorder_->Emit(RefOf(other), EventType::kWarning, "FilteringFailed", "no card fits");
  while (Events().size() < 3) std::this_thread::yield();
}

TEST_F(EventsTest, AnEventThatExpiredOnTheServerIsMadeAnew) {
  recorder_->Emit(RefOf(pod_), EventType::kNormal, "Bound", "m");
  Json first = AwaitCount(1);
  server_.Delete(EventsOf("a") + "/" + std::string(StringAt(first, {"metadata", "name"})));
  recorder_->Emit(RefOf(pod_), EventType::kNormal, "Bound", "m");
  Json second = AwaitCount(1);
  EXPECT_NE(StringAt(second, {"metadata", "name"}), StringAt(first, {"metadata", "name"}));
}

TEST_F(EventsTest, NodeEventsGoToTheDefaultNamespace) {
  Node node;
  node.name = "n1";
  recorder_->Emit(RefOf(node), EventType::kWarning, "Undecodable", "m");
  while (Events("default").empty()) std::this_thread::yield();
  Json event = Events("default")[0];
  EXPECT_EQ(StringAt(event, {"involvedObject", "kind"}), "Node");
  EXPECT_EQ(Find(event, {"involvedObject", "namespace"}), nullptr);
}

TEST_F(EventsTest, RefusedEventsAreCountedAndDoNotStopOthers) {
  server_.Inject({.match = On("POST", "events"), .status = 403});
  recorder_->Emit(RefOf(pod_), EventType::kNormal, "A", "m");
  while (recorder_->lost() == 0) std::this_thread::yield();
  recorder_->Emit(RefOf(pod_), EventType::kNormal, "B", "m");
  EXPECT_EQ(StringAt(AwaitCount(1), {"reason"}), "B");
}

TEST(EventMessageTest, LongMessagesAreCutAtACharacter) {
  EXPECT_EQ(CapMessage(std::string(1024, 'x')), std::string(1024, 'x'));
  std::string cut = CapMessage(std::string(1025, 'x'));
  EXPECT_EQ(cut, std::string(1021, 'x') + "...");
  for (size_t lead = 0; lead < 4; ++lead) {
    std::string text(lead, 'x');
    while (text.size() <= 1030) text += "\xe5\x8d\xa1";  // one character, three bytes
    std::string capped = CapMessage(text);
    EXPECT_LE(capped.size(), kMaxEventMessage);
    EXPECT_EQ((capped.size() - 3 - lead) % 3, 0u);
    EXPECT_TRUE(capped.ends_with("..."));
  }
}

}  // namespace
}  // namespace hami::kube

// What our client relies on, asked of the fault-injecting fake and of a real kube-apiserver alike:
// where the two differ, the fake lies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/env.h"
#include "base/executor.h"
#include "base/json.h"
#include "platform/kube/client.h"
#include "platform/kube/events.h"
#include "platform/kube/lease.h"
#include "platform/kube/objects.h"
#include "platform/kube/reflector.h"
#include "platform/kube/watch_decode.h"
#include "tests/conformance/real_apiserver.h"
#include "tests/fake_apiserver/fake_apiserver.h"
#include "tests/fake_apiserver/mirror.h"

namespace hami::conformance {
namespace {

using kube::Client;
using kube::Request;
using kube::Response;

// One real server for the whole binary: it takes seconds to start.
class RealServerHolder final : public testing::Environment {
 public:
  static RealApiServer* Get() {
    if (!started_) {
      started_ = true;
      auto server = RealApiServer::Start();
      if (server) {
        server_ = std::move(*server);
      } else {
        why_ = server.error();
      }
    }
    return server_.get();
  }
  static const Error& why() { return why_; }
  void TearDown() override { server_.reset(); }

 private:
  static inline std::unique_ptr<RealApiServer> server_;
  static inline Error why_;
  static inline bool started_ = false;
};
const auto* const kHolder = testing::AddGlobalTestEnvironment(new RealServerHolder);

class ApiTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    kube::Config config;
    if (GetParam() == "fake") {
      fake_ = std::make_unique<fake::FakeApiServer>();
      fake_->RequireToken("fake-token");
      config.server = fake_->url();
      config.token = "fake-token";
    } else {
      real_ = RealServerHolder::Get();
      if (real_ == nullptr) {
        const Error& why = RealServerHolder::why();
        // A machine without the testbed's programs cannot ask; anything else is a failure.
        if (why.code == Code::kNotFound && !GetEnv("HAMI_REQUIRE_APISERVER")) {
          GTEST_SKIP() << why.message << ": run testbed/programs/build";
        }
        FAIL() << why.message;
      }
      config = real_->config();
    }
    Connect(config);
    ns_ = "t" + std::to_string(next_namespace_++);
    Must("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"" + ns_ + "\"}}");
  }
  void TearDown() override { client_.reset(); }

  void Connect(const kube::Config& config) {
    kube::ClientOptions options;
    options.qps = 0;
    auto client = Client::Create(loop_, config, options);
    ASSERT_TRUE(client) << client.error().message;
    client_ = std::move(*client);
  }
  Result<Response> Send(std::string method, std::string path, std::string body = "") {
    Request request;
    request.content_type = method == "PATCH" ? kube::kMergePatch : "application/json";
    request.method = std::move(method);
    request.path = std::move(path);
    request.body = std::move(body);
    return client_->CallSync(std::move(request));
  }
  Json Must(std::string method, std::string path, std::string body = "") {
    auto answer = Send(std::move(method), path, std::move(body));
    EXPECT_TRUE(answer) << answer.error().message;
    if (!answer) return {};
    auto json = ParseJson(answer->body);
    EXPECT_TRUE(json);
    return json ? *json : Json();
  }
  Code Refused(std::string method, std::string path, std::string body = "") {
    auto answer = Send(std::move(method), std::move(path), std::move(body));
    EXPECT_FALSE(answer) << "accepted";
    if (answer) return Code::kInternal;
    last_message_ = answer.error().message;
    return answer.error().code;
  }
  static std::string PodJson(const std::string& name, const std::string& labels = "{}") {
    return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","labels":)" +
           labels + R"(},"spec":{"containers":[{"name":"c","image":"i"}]}})";
  }
  Json CreatePod(const std::string& name, const std::string& labels = "{}") {
    return Must("POST", kube::PodsPath(ns_), PodJson(name, labels));
  }
  Json GetPod(const std::string& name) { return Must("GET", kube::PodPath(ns_, name)); }
  void Away() { fake_ ? fake_->Stop() : real_->Kill(); }
  void Back() {
    if (fake_) return fake_->Start();
    auto launched = real_->Launch();
    ASSERT_TRUE(launched) << launched.error().message;
  }

  net::Loop loop_;
  std::unique_ptr<fake::FakeApiServer> fake_;
  RealApiServer* real_ = nullptr;
  std::unique_ptr<Client> client_;
  std::string ns_;
  std::string last_message_;
  static inline int next_namespace_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Servers, ApiTest, testing::Values("fake", "real"),
                         [](const auto& server) { return server.param; });

TEST_P(ApiTest, MissingIsNotFoundAndTwiceIsAlreadyExists) {
  EXPECT_EQ(Refused("GET", kube::PodPath(ns_, "nobody")), Code::kNotFound);
  EXPECT_EQ(Refused("PATCH", kube::PodPath(ns_, "nobody"), "{}"), Code::kNotFound);
  CreatePod("p");
  EXPECT_EQ(Refused("POST", kube::PodsPath(ns_), PodJson("p")), Code::kAlreadyExists);
  EXPECT_EQ(Refused("POST", kube::PodsPath(ns_), PodJson("")), Code::kInvalidArgument);
  EXPECT_EQ(Refused("POST", kube::PodsPath(ns_), "{not json"), Code::kInvalidArgument);
}

TEST_P(ApiTest, AMergePatchSetsAndRemovesAnnotations) {
  CreatePod("p");
  kube::MetadataPatch patch;
  patch.annotations = {{"hami.io/a", "1"}, {"hami.io/b", "<&>\"\\\n\xe5\x8d\xa1"}};
  patch.labels = {{"hami.io/l", "x"}};
  Must("PATCH", kube::PodPath(ns_, "p"), kube::MetadataPatchBody(patch));
  patch = {};
  patch.annotations = {{"hami.io/a", std::nullopt}};
  Must("PATCH", kube::PodPath(ns_, "p"), kube::MetadataPatchBody(patch));
  Json pod = GetPod("p");
  EXPECT_EQ(Find(pod, {"metadata", "annotations", "hami.io/a"}), nullptr);
  EXPECT_EQ(StringAt(pod, {"metadata", "annotations", "hami.io/b"}), "<&>\"\\\n\xe5\x8d\xa1");
  EXPECT_EQ(StringAt(pod, {"metadata", "labels", "hami.io/l"}), "x");
}

TEST_P(ApiTest, AStaleResourceVersionIsAConflictAndAnotherUidIsInvalid) {
  Json pod = CreatePod("p");
  kube::MetadataPatch patch;
  patch.annotations = {{"a", "1"}};
  patch.resource_version = StringAt(pod, {"metadata", "resourceVersion"});
  Must("PATCH", kube::PodPath(ns_, "p"), kube::MetadataPatchBody(patch));
  patch.annotations = {{"a", "2"}};
  EXPECT_EQ(Refused("PATCH", kube::PodPath(ns_, "p"), kube::MetadataPatchBody(patch)),
            Code::kConflict);
  patch.resource_version.clear();
  patch.uid = "00000000-0000-0000-0000-000000000000";
  EXPECT_EQ(Refused("PATCH", kube::PodPath(ns_, "p"), kube::MetadataPatchBody(patch)),
            Code::kInvalidArgument);
  EXPECT_THAT(last_message_, testing::HasSubstr("metadata.uid"));
  EXPECT_EQ(StringAt(GetPod("p"), {"metadata", "annotations", "a"}), "1");
}

// The node lock is a compare-and-swap (design.md decision 4).
TEST_P(ApiTest, OfManyPatchesWithOneResourceVersionExactlyOneWins) {
  std::string name = "node-" + ns_;
  Json node = Must("POST", kube::NodesPath(), "{\"metadata\":{\"name\":\"" + name + "\"}}");
  constexpr int kRacers = 16;
  std::atomic<int> won{0}, conflicts{0}, left{kRacers};
  std::promise<void> all;
  for (int i = 0; i < kRacers; ++i) {
    kube::MetadataPatch patch;
    patch.annotations = {{"hami.io/mutex.lock", std::to_string(i)}};
    patch.resource_version = StringAt(node, {"metadata", "resourceVersion"});
    Request request;
    request.method = "PATCH";
    request.path = kube::NodePath(name);
    request.body = kube::MetadataPatchBody(patch);
    request.content_type = kube::kMergePatch;
    client_->Call(std::move(request), [&](Result<Response> answer) {
      if (answer) {
        ++won;
      } else if (answer.error().code == Code::kConflict) {
        ++conflicts;
      }
      if (--left == 0) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(conflicts, kRacers - 1);
  Must("DELETE", kube::NodePath(name));
}

// design.md decision 3.
TEST_P(ApiTest, ABindingSetsNodeAndAnnotationsTogetherAndHonoursTheUid) {
  Json pod = CreatePod("p");
  kube::BindingSpec binding;
  binding.ns = ns_;
  binding.pod = "p";
  binding.node = "n1";
  binding.annotations = {{"hami.io/vgpu-node", "n1"}, {"hami.io/bind-phase", "allocating"}};
  binding.pod_uid = "00000000-0000-0000-0000-000000000000";
  EXPECT_EQ(Refused("POST", kube::BindingPath(ns_, "p"), kube::BindingBody(binding)),
            Code::kConflict);
  Json before = GetPod("p");
  EXPECT_EQ(StringAt(before, {"spec", "nodeName"}), "");
  EXPECT_EQ(Find(before, {"metadata", "annotations", "hami.io/vgpu-node"}), nullptr);
  binding.pod_uid = StringAt(pod, {"metadata", "uid"});
  Must("POST", kube::BindingPath(ns_, "p"), kube::BindingBody(binding));
  Json after = GetPod("p");
  EXPECT_EQ(StringAt(after, {"spec", "nodeName"}), "n1");
  EXPECT_EQ(StringAt(after, {"metadata", "annotations", "hami.io/vgpu-node"}), "n1");
  EXPECT_EQ(Refused("POST", kube::BindingPath(ns_, "p"), kube::BindingBody(binding)),
            Code::kConflict);
  // The name stands in the path and in the body.
  EXPECT_EQ(Refused("POST", kube::BindingPath(ns_, "nobody"), kube::BindingBody(binding)),
            Code::kInvalidArgument);
  binding.pod = "nobody";
  EXPECT_EQ(Refused("POST", kube::BindingPath(ns_, "nobody"), kube::BindingBody(binding)),
            Code::kNotFound);
}

TEST_P(ApiTest, AWrongTokenIsUnauthenticated) {
  kube::Config config = fake_ ? kube::Config{.server = fake_->url()} : real_->config();
  config.token = "wrong";
  Connect(config);
  EXPECT_EQ(Refused("GET", "/api/v1/nodes"), Code::kUnauthenticated);
}

TEST_P(ApiTest, AWatchFromAForgottenVersionSays410) {
  if (fake_) fake_->Compact();
  if (real_) {  // its watch cache begins where the server does
    Away();
    Back();
  }
  Request request;
  request.path = kube::PodsPath(ns_) + "?watch=1&resourceVersion=1&timeoutSeconds=5";
  auto answer = client_->CallSync(request);
  // As an answer, or as an ERROR event inside a 200 stream: both happen.
  if (!answer) {
    EXPECT_EQ(answer.error().code, Code::kFailedPrecondition) << answer.error().message;
    return;
  }
  kube::WatchDecoder decoder;
  auto event = decoder.DecodeEvent(answer->body.substr(0, answer->body.find('\n')));
  ASSERT_TRUE(event) << event.error().message << ": " << answer->body;
  EXPECT_EQ(event->type, kube::WatchType::kError);
  EXPECT_EQ(event->status_code, 410);
}

TEST_P(ApiTest, AContinueTokenOfNobodyIsRefused) {
  EXPECT_FALSE(Send("GET", kube::PodsPath(ns_) + "?limit=1&continue=bogus"));
}

using fake::Mirror;

TEST_P(ApiTest, TheReflectorListsInPagesAndFollowsEveryChange) {
  Mirror::World world;
  for (int i = 0; i < 7; ++i) {
    CreatePod("p" + std::to_string(i));
    world["p" + std::to_string(i)] = "";
  }
  ThreadExecutor executor("mirror");
  Mirror mirror;
  kube::ReflectorOptions options;
  options.path = kube::PodsPath(ns_);
  options.page = 3;
  kube::Reflector reflector(*client_, executor, options, mirror);
  mirror.AwaitWorld(world);
  Must("PATCH", kube::PodPath(ns_, "p1"), R"({"metadata":{"annotations":{"v":"new"}}})");
  world["p1"] = "new";
  Must("DELETE", kube::PodPath(ns_, "p2"));
  world.erase("p2");
  CreatePod("q");
  world["q"] = "";
  mirror.AwaitWorld(world);
  EXPECT_EQ(reflector.stats().lists, 1u);
  EXPECT_EQ(reflector.stats().errors, 0u);
}

TEST_P(ApiTest, TheReflectorDeletesWhatLeavesItsSelectors) {
  CreatePod("in", R"({"gpu":"on"})");
  CreatePod("out", R"({"gpu":"off"})");
  ThreadExecutor executor("mirror");
  Mirror mirror;
  kube::ReflectorOptions options;
  options.path = "/api/v1/pods";
  options.field_selector = "metadata.namespace=" + ns_;
  options.label_selector = "gpu=on,!skip";
  kube::Reflector reflector(*client_, executor, options, mirror);
  mirror.AwaitWorld({{"in", ""}});
  Must("PATCH", kube::PodPath(ns_, "out"), R"({"metadata":{"labels":{"gpu":"on"}}})");
  mirror.AwaitWorld({{"in", ""}, {"out", ""}});
  Must("PATCH", kube::PodPath(ns_, "in"), R"({"metadata":{"labels":{"skip":"x"}}})");
  mirror.AwaitWorld({{"out", ""}});
}

TEST_P(ApiTest, TheReflectorIsInStepAgainAfterTheServerDiedAndCameBack) {
  CreatePod("p");
  ThreadExecutor executor("mirror");
  Mirror mirror;
  kube::ReflectorOptions options;
  options.path = kube::PodsPath(ns_);
  options.max_backoff = std::chrono::milliseconds(500);
  kube::Reflector reflector(*client_, executor, options, mirror);
  mirror.AwaitWorld({{"p", ""}});
  Away();
  Back();
  Must("PATCH", kube::PodPath(ns_, "p"), R"({"metadata":{"annotations":{"v":"new"}}})");
  CreatePod("q");
  mirror.AwaitWorld({{"p", "new"}, {"q", ""}});
}

TEST_P(ApiTest, LeasesAreHeldFollowedAndGivenBack) {
  ThreadExecutor executor("lease");
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<kube::Leadership> held, followed;
  auto into = [&](std::vector<kube::Leadership>& log) {
    return [&](const kube::Leadership& l) {
      std::lock_guard lock(mutex);
      log.push_back(l);
      changed.notify_all();
    };
  };
  auto await = [&](const std::vector<kube::Leadership>& log, bool leader) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !log.empty() && log.back().leader == leader; });
  };
  kube::LeaseHolderOptions options;
  options.ns = ns_;
  options.name = "own";
  options.identity = "host_0b1f";
  options.retry = std::chrono::milliseconds(100);
  auto holder = std::make_unique<kube::LeaseHolder>(*client_, executor, options, into(held));
  await(held, true);
  kube::LeaseFollowerOptions follow;
  follow.ns = ns_;
  follow.name = "own";
  follow.identity = "host";
  kube::LeaseFollower follower(*client_, executor, follow, into(followed));
  await(followed, true);
  MonoTime until = follower.current().until;
  while (follower.current().until == until) std::this_thread::yield();  // a renewal arrives
  holder.reset();
  await(followed, false);
  EXPECT_EQ(follower.current().holder, "");
}

TEST_P(ApiTest, EventsAreWrittenOnceAndCounted) {
  Json pod = CreatePod("p");
  kube::EventRecorder recorder(*client_, "hami-scheduler");
  kube::ObjectRef ref{.kind = "Pod",
                      .ns = ns_,
                      .name = "p",
                      .uid = std::string(StringAt(pod, {"metadata", "uid"}))};
  kube::ObjectRef node{.kind = "Node", .name = "n-" + ns_, .uid = "n-" + ns_};
  for (int i = 0; i < 5; ++i) {
    recorder.Emit(ref, kube::EventType::kWarning, "FilteringFailed", "no card fits");
  }
  recorder.Emit(node, kube::EventType::kNormal, "Seen", "a node");
  auto count = [&](const std::string& ns, const std::string& name) {
    Json list = Must("GET", kube::EventsPath(ns) + "?fieldSelector=involvedObject.name%3D" + name);
    int64_t total = 0;
    for (const Json& event : list.at("items").as_array()) {
      total += IntAt(event, {"count"}).value_or(0) * 100 + 1;  // counts and objects
    }
    return total;
  };
  while (count(ns_, "p") != 501 && recorder.lost() == 0) std::this_thread::yield();
  while (count("default", node.name) != 101 && recorder.lost() == 0) std::this_thread::yield();
  EXPECT_EQ(recorder.lost(), 0u);
}

class RealApiTest : public ApiTest {};  // the fake has no TLS
INSTANTIATE_TEST_SUITE_P(Servers, RealApiTest, testing::Values("real"),
                         [](const auto& server) { return server.param; });

TEST_P(RealApiTest, AClientCertificateIsARealIdentity) {
  Connect(real_->config_by_certificate());
  Json version = Must("GET", "/version");
  EXPECT_EQ(StringAt(version, {"major"}), "1");
  EXPECT_EQ(Refused("GET", "/api/v1/nodes"), Code::kPermissionDenied);
  EXPECT_THAT(last_message_, testing::HasSubstr("\"someone\""));
}

}  // namespace
}  // namespace hami::conformance

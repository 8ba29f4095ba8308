#include "platform/kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <mutex>

#include "platform/kube/objects.h"
#include "platform/net/http_server.h"
#include "platform/net/test_certs.h"
#include "tests/fake_apiserver/fake_apiserver.h"

namespace hami::kube {
namespace {

using fake::Fault;
using fake::On;
using fake::OnList;
using testing::HasSubstr;

constexpr char kPods[] = "/api/v1/namespaces/a/pods";

class ClientTest : public testing::Test {
 protected:
  void Connect(ClientOptions options = {}) {
    Config config;
    config.server = server_.url();
    config.token = "secret";
    Connect(std::move(config), std::move(options));
  }
  void Connect(Config config, ClientOptions options) {
    auto client = Client::Create(loop_, std::move(config), std::move(options));
    ASSERT_TRUE(client) << client.error().message;
    client_ = std::move(*client);
  }
  Result<Response> Get(const std::string& path, Duration timeout = Duration(0)) {
    Request request;
    request.path = path;
    request.timeout = timeout;
    return client_->CallSync(request);
  }
  Result<Response> Send(std::string method, std::string path, std::string body,
                        std::string content_type = "application/json") {
    Request request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.body = std::move(body);
    request.content_type = std::move(content_type);
    return client_->CallSync(request);
  }
  Code ErrorOf(const Result<Response>& result) {
    EXPECT_FALSE(result);
    return result ? Code::kInternal : result.error().code;
  }

  net::Loop loop_;
  fake::FakeApiServer server_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientTest, CreatesReadsPatchesAndDeletes) {
  Connect();
  auto created = Send("POST", kPods, R"({"metadata":{"name":"p"}})");
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(created->status, 201);
  MetadataPatch patch;
  patch.annotations["x/y"] = "1";
  auto patched = Send("PATCH", PodPath("a", "p"), MetadataPatchBody(patch), kMergePatch);
  ASSERT_TRUE(patched) << patched.error().message;
  auto got = Get(PodPath("a", "p"));
  ASSERT_TRUE(got);
  EXPECT_EQ(StringAt(*ParseJson(got->body), {"metadata", "annotations", "x/y"}), "1");
  EXPECT_TRUE(Send("DELETE", PodPath("a", "p"), ""));
  EXPECT_EQ(ErrorOf(Get(PodPath("a", "p"))), Code::kNotFound);
}

TEST_F(ClientTest, ErrorsCarryTheRequestAndTheServersMessage) {
  Connect();
  auto missing = Get("/api/v1/namespaces/a/pods/nobody?pretty=1");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "GET /api/v1/namespaces/a/pods/nobody: pods \"nobody\" not found");
}

TEST_F(ClientTest, PreconditionsBecomeConflictAndAlreadyExists) {
  Connect();
  server_.Create(kPods, R"({"metadata":{"name":"p"}})");
  EXPECT_EQ(ErrorOf(Send("POST", kPods, R"({"metadata":{"name":"p"}})")), Code::kAlreadyExists);
  MetadataPatch patch;
  patch.annotations["a"] = "b";
  patch.resource_version = "1";
  EXPECT_EQ(ErrorOf(Send("PATCH", PodPath("a", "p"), MetadataPatchBody(patch), kMergePatch)),
            Code::kConflict);
}

TEST_F(ClientTest, HttpCodesBecomeErrorCodes) {
  Connect();
  const std::pair<int, Code> table[] = {
      {400, Code::kInvalidArgument},  {401, Code::kUnauthenticated},
      {403, Code::kPermissionDenied}, {410, Code::kFailedPrecondition},
      {422, Code::kInvalidArgument},  {500, Code::kUnavailable},
      {503, Code::kUnavailable},      {504, Code::kDeadlineExceeded}};
  for (auto [status, code] : table) {
    server_.Inject({.match = OnList("nodes"), .times = status == 401 ? 2 : 1, .status = status});
    EXPECT_EQ(ErrorOf(Get("/api/v1/nodes")), code) << status;
  }
}

TEST_F(ClientTest, RetryAfterIsHonouredWithinTheDeadline) {
  Connect();
  server_.Inject({.match = OnList("nodes"), .status = 429, .retry_after = 0});
  server_.Inject({.match = OnList("nodes"), .status = 503, .retry_after = 1});
  MonoTime start = loop_.clock().Mono();
  EXPECT_TRUE(Get("/api/v1/nodes"));
  EXPECT_GE(loop_.clock().Mono() - start, std::chrono::seconds(1));
  EXPECT_EQ(server_.CountRequests(OnList("nodes")), 3);
}

TEST_F(ClientTest, ARetryAfterBeyondTheDeadlineFailsAtOnce) {
  Connect();
  server_.Inject({.match = OnList("nodes"), .times = 9, .status = 429, .retry_after = 3600});
  EXPECT_EQ(ErrorOf(Get("/api/v1/nodes", std::chrono::seconds(20))), Code::kResourceExhausted);
  EXPECT_EQ(server_.CountRequests(OnList("nodes")), 1);
}

TEST_F(ClientTest, ASlowServerMeetsTheDeadline) {
  Connect();
  server_.Inject({.match = OnList("nodes"), .delay = std::chrono::hours(1)});
  auto got = Get("/api/v1/nodes", std::chrono::milliseconds(50));
  EXPECT_EQ(ErrorOf(got), Code::kDeadlineExceeded);
  EXPECT_TRUE(Get("/api/v1/nodes"));  // on another connection
}

TEST_F(ClientTest, AGetIsRepeatedWhenAReusedConnectionBreaks) {
  Connect();
  ASSERT_TRUE(Get("/api/v1/nodes"));
  server_.Inject({.match = OnList("nodes"), .close_early = true});
  EXPECT_TRUE(Get("/api/v1/nodes"));
}

TEST_F(ClientTest, AGetIsNotRepeatedForEver) {
  Connect();
  ASSERT_TRUE(Get("/api/v1/nodes"));
  server_.Inject({.match = OnList("nodes"), .times = 2, .close_early = true});
  EXPECT_EQ(ErrorOf(Get("/api/v1/nodes")), Code::kUnavailable);
}

// design.md decision 3: after a lost answer the caller reads the Pod before undoing.
TEST_F(ClientTest, AWriteWhoseAnswerIsLostIsNotRepeated) {
  Connect();
  ASSERT_TRUE(Get("/api/v1/nodes"));
  server_.Inject({.match = On("POST", "pods"), .close_late = true});
  auto got = Send("POST", kPods, R"({"metadata":{"name":"p"}})");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnavailable);
  EXPECT_THAT(got.error().message, testing::Not(HasSubstr("not sent")));
  EXPECT_EQ(server_.CountRequests(On("POST", "pods")), 1);
  EXPECT_TRUE(server_.Exists("/api/v1/namespaces/a/pods/p"));
}

TEST_F(ClientTest, AnAnswerCutInTheMiddleIsAnError) {
  Connect();
  server_.Create(kPods, R"({"metadata":{"name":"p"}})");
  server_.Inject({.match = OnList("pods"), .cut_after = 10});
  EXPECT_EQ(ErrorOf(Get(kPods)), Code::kUnavailable);
}

TEST_F(ClientTest, ARefusedConnectionSaysThatNothingWasSent) {
  Connect();
  server_.Stop();
  auto got = Send("POST", kPods, "{}");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnavailable);
  EXPECT_THAT(got.error().message, HasSubstr("not sent"));
  server_.Start();
  EXPECT_TRUE(Get(kPods));
}

TEST_F(ClientTest, ARotatedTokenFileIsReadAgainAfterA401) {
  std::string path = std::filesystem::temp_directory_path() / "hami-token-XXXXXX";
  close(mkstemp(path.data()));
  ASSERT_TRUE(RealFileSystem().WriteAtomic(path, "old\n", 0600));
  server_.RequireToken("old");
  Config config;
  config.server = server_.url();
  config.token_file = path;
  Connect(config, {});
  ASSERT_TRUE(Get("/api/v1/nodes"));
  server_.RequireToken("new");
  EXPECT_EQ(ErrorOf(Get("/api/v1/nodes")),
            Code::kUnauthenticated);  // the file is still the old one
  ASSERT_TRUE(RealFileSystem().WriteAtomic(path, "new\n", 0600));
  EXPECT_TRUE(Get("/api/v1/nodes"));
  std::filesystem::remove(path);
}

TEST_F(ClientTest, TheLimiterSpacesCallsBeyondTheBurst) {
  ClientOptions options;
  options.qps = 50;
  options.burst = 2;
  Connect(options);
  MonoTime start = loop_.clock().Mono();
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(Get("/api/v1/nodes"));
  EXPECT_GE(loop_.clock().Mono() - start, std::chrono::milliseconds(100));  // 5 at 20 ms each
}

TEST_F(ClientTest, HighLaneOvertakesAndLowLaneDropsItsOldest) {
  ClientOptions options;
  options.qps = 10;
  options.burst = 1;
  options.max_connections = 1;  // answers come in the order of the turns
  options.max_low_waiting = 2;
  Connect(options);
  std::mutex mutex;
  std::vector<std::string> order;
  std::vector<std::string> dropped;
  std::vector<std::future<void>> all;
  auto send = [&](Lane lane, const std::string& name) {
    auto done = std::make_shared<std::promise<void>>();
    all.push_back(done->get_future());
    Request request;
    request.path = "/api/v1/nodes/" + name;
    request.lane = lane;
    client_->Call(std::move(request), [&, name, done](Result<Response> r) {
      {
        std::lock_guard lock(mutex);
        (r.error().code == Code::kResourceExhausted ? dropped : order).push_back(name);
      }
      done->set_value();  // the test may end, and the mutex with it
    });
  };
  send(Lane::kNormal, "first");  // takes the burst
  send(Lane::kLow, "low1");
  send(Lane::kLow, "low2");
  send(Lane::kLow, "low3");
  send(Lane::kNormal, "normal");
  send(Lane::kHigh, "high");
  for (auto& f : all) f.wait();
  EXPECT_EQ(dropped, std::vector<std::string>{"low1"});
  EXPECT_EQ(order, (std::vector<std::string>{"first", "high", "normal", "low2", "low3"}));
}

TEST_F(ClientTest, ACallThatGetsNoTurnSaysThatNothingWasSent) {
  ClientOptions options;
  options.qps = 0.001;
  options.burst = 1;
  Connect(options);
  ASSERT_TRUE(Get("/api/v1/nodes"));
  auto got = Get("/api/v1/nodes", std::chrono::milliseconds(30));
  EXPECT_EQ(ErrorOf(got), Code::kDeadlineExceeded);
  EXPECT_THAT(got.error().message, HasSubstr("not sent"));
}

TEST_F(ClientTest, BusyConnectionsDoNotKeepTheHighLaneWaiting) {
  ClientOptions options;
  options.max_connections = 2;
  Connect(options);
  server_.Inject({.match = On("GET", "/slow"), .times = 3, .delay = std::chrono::hours(1)});
  std::vector<std::future<Result<Response>>> slow;
  for (int i = 0; i < 3; ++i) {
    auto answered = std::make_shared<std::promise<Result<Response>>>();
    slow.push_back(answered->get_future());
    Request request;
    request.path = "/api/v1/nodes/slow";
    client_->Call(request, [answered](Result<Response> r) { answered->set_value(std::move(r)); });
  }
  Request urgent;
  urgent.path = "/api/v1/nodes";
  urgent.lane = Lane::kHigh;
  EXPECT_TRUE(client_->CallSync(urgent));
  client_.reset();
  for (auto& f : slow) EXPECT_EQ(ErrorOf(f.get()), Code::kCancelled);
}

TEST_F(ClientTest, DestructionCancelsWhatIsUnderWay) {
  Connect();
  server_.Inject({.match = OnList("nodes"), .delay = std::chrono::hours(1)});
  std::promise<Result<Response>> answered;
  Request request;
  request.path = "/api/v1/nodes";
  client_->Call(request, [&](Result<Response> r) { answered.set_value(std::move(r)); });
  server_.AwaitRequests(OnList("nodes"), 1);
  client_.reset();
  EXPECT_EQ(ErrorOf(answered.get_future().get()), Code::kCancelled);
}

TEST_F(ClientTest, ManyCallsAtOnceShareTheConnections) {
  ClientOptions options;
  options.qps = 0;  // no limit
  Connect(options);
  constexpr int kCalls = 300;
  std::atomic<int> good{0};
  std::atomic<int> left{kCalls};
  std::promise<void> all;
  for (int i = 0; i < kCalls; ++i) {
    Request request;
    request.method = "POST";
    request.path = kPods;
    request.body = "{\"metadata\":{\"name\":\"p" + std::to_string(i) + "\"}}";
    client_->Call(std::move(request), [&](Result<Response> r) {
      good += r.has_value();
      if (--left == 0) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_EQ(good, kCalls);
  auto counts = client_->CallCounts();
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].verb, "create");
  EXPECT_EQ(counts[0].resource, "pods");
  EXPECT_EQ(counts[0].code, 201);
  EXPECT_EQ(counts[0].count, static_cast<uint64_t>(kCalls));
}

TEST_F(ClientTest, BadConfigurationIsRefusedAtCreation) {
  Config config;
  config.server = "api.example:6443";
  EXPECT_FALSE(Client::Create(loop_, config, {}));
  config.server = "https://127.0.0.1:1";
  config.ca_pem = "no PEM";
  auto bad_ca = Client::Create(loop_, config, {});
  ASSERT_FALSE(bad_ca);
  EXPECT_THAT(bad_ca.error().message, HasSubstr("CA certificate"));
  config.ca_pem.clear();
  config.token_file = "/nonexistent/token";
  EXPECT_FALSE(Client::Create(loop_, config, {}));
}

TEST_F(ClientTest, SpeaksTlsAndVerifiesTheServer) {
  net::TestCa ca;
  net::CertPair pair = ca.Issue("server", {"127.0.0.1"});
  std::string dir = std::filesystem::temp_directory_path() / "hami-kube-XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  ASSERT_TRUE(RealFileSystem().WriteAtomic(dir + "/crt", pair.cert_pem, 0600));
  ASSERT_TRUE(RealFileSystem().WriteAtomic(dir + "/key", pair.key_pem, 0600));
  net::ServerOptions options;
  options.address = "127.0.0.1:0";
  options.tls = std::make_unique<net::TlsFiles>();
  options.tls->cert_file = dir + "/crt";
  options.tls->key_file = dir + "/key";
  std::vector<net::Route> routes;
  routes.push_back({"GET", "/base/version", [](net::HttpRequest request, net::Responder responder) {
                      net::HttpResponse response;
                      response.body = request.HeaderValue("authorization");
                      responder.Reply(std::move(response));
                    }});
  auto server = net::HttpServer::Listen(loop_, std::move(options), std::move(routes));
  ASSERT_TRUE(server) << server.error().message;
  Config config;
  config.server = "https://127.0.0.1:" + std::to_string((*server)->port()) + "/base";
  config.ca_pem = ca.cert_pem();
  config.token = "t";
  Connect(config, {});
  auto got = Get("/version");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->body, "Bearer t");
  config.server_name = "other.example";
  Connect(config, {});
  EXPECT_EQ(ErrorOf(Get("/version")), Code::kUnavailable);
  client_.reset();
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace hami::kube

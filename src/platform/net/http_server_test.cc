#include "platform/net/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "platform/net/test_client.h"

namespace hami::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Speaks raw bytes, for what a proper client would never send.
class RawClient {
 public:
  explicit RawClient(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    timeval limit{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void CloseSending() { shutdown(fd_, SHUT_WR); }
  std::string ReadToEnd() {
    std::string out;
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd_, buffer, sizeof buffer, 0)) > 0;) {
      out.append(buffer, static_cast<size_t>(n));
    }
    return out;
  }

 private:
  int fd_;
};

class HttpServerTest : public testing::Test {
 protected:
  void Serve(ServerOptions options = {}) {
    options.address = "127.0.0.1:0";
    std::vector<Route> routes;
    routes.push_back(
        {"POST", "/echo",
         [](HttpRequest request, Responder responder) {
           responder.Reply(
               {.status = 200, .content_type = "text/plain", .body = request.body, .headers = {}});
         },
         1000});
    routes.push_back({"GET", "/hello", [](HttpRequest, Responder responder) {
                        responder.Reply({.status = 200,
                                         .content_type = "text/plain",
                                         .body = "hello\n",
                                         .headers = {{"X-A", "b"}}});
                      }});
    routes.push_back({"GET", "/files/*", [](HttpRequest request, Responder responder) {
                        HttpResponse response;
                        response.body = request.target;
                        responder.Reply(std::move(response));
                      }});
    routes.push_back({"GET", "/silent", [](HttpRequest, Responder) {}});
    routes.push_back({"GET", "/throws",
                      [](HttpRequest, Responder) { throw std::runtime_error("handler failed"); }});
    routes.push_back({"GET", "/held", [this](HttpRequest, Responder responder) {
                        held_.set_value(std::move(responder));
                      }});
    auto server = HttpServer::Listen(loop_, std::move(options), std::move(routes));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    peer_.host = "127.0.0.1";
    peer_.port = server_->port();
  }
  TestClient Client() {
    auto client = TestClient::Open(loop_, peer_);
    EXPECT_TRUE(client) << client.error().message;
    return std::move(*client);
  }

  Loop loop_;
  std::promise<Responder> held_;
  std::unique_ptr<HttpServer> server_;
  Peer peer_;
};

TEST_F(HttpServerTest, AnswersManyRequestsOnOneConnection) {
  Serve();
  TestClient client = Client();
  for (int i = 0; i < 50; ++i) {
    auto got = client.Post("/echo", "body " + std::to_string(i));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->status, 200);
    EXPECT_EQ(got->body, "body " + std::to_string(i));
    EXPECT_EQ(FindHeader(got->headers, "content-type"), "text/plain");
  }
}

TEST_F(HttpServerTest, UnknownPathIs404AndWrongMethodIs405WithAllow) {
  Serve();
  TestClient client = Client();
  auto unknown = client.Post("/nothing", "some body");
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->status, 404);
  auto wrong = client.Get("/echo");  // same connection: the body above was consumed
  ASSERT_TRUE(wrong) << wrong.error().message;
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(FindHeader(wrong->headers, "Allow"), "POST");
}

TEST_F(HttpServerTest, WildcardRouteCoversEverythingBelowIt) {
  Serve();
  TestClient client = Client();
  EXPECT_EQ(client.Get("/files/a/b?c=d")->body, "/files/a/b?c=d");
  EXPECT_EQ(client.Get("/files/")->status, 200);
  EXPECT_EQ(client.Get("/files")->status, 404);
}

TEST_F(HttpServerTest, HeadAnswersWithTheLengthButWithoutTheBody) {
  Serve();
  TestClient client = Client();
  HttpRequest head;
  head.method = "HEAD";
  head.target = "/hello";
  auto got = client.Do(head);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(FindHeader(got->headers, "Content-Length"), "6");
  EXPECT_EQ(got->body, "");
  EXPECT_EQ(client.Get("/hello")->body, "hello\n");
}

TEST_F(HttpServerTest, ABodyAboveTheRoutesLimitIs413AndTheAnswerArrives) {
  Serve();
  {
    TestClient client = Client();
    EXPECT_EQ(client.Post("/echo", std::string(1000, 'x'))->status, 200);
    EXPECT_EQ(client.Post("/echo", std::string(1001, 'x'))->status, 413);
  }
  // A client that sends everything before it reads still sees the answer.
  RawClient raw(server_->port());
  raw.Send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) raw.Send("1000\r\n" + std::string(0x1000, 'x') + "\r\n");
  raw.Send("0\r\n\r\n");
  raw.CloseSending();
  EXPECT_THAT(raw.ReadToEnd(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, AHandlerWithoutAnAnswerGivesTheClientA500) {
  Serve();
  TestClient client = Client();
  EXPECT_EQ(client.Get("/silent")->status, 500);
  EXPECT_EQ(client.Get("/throws")->status, 500);
  EXPECT_EQ(client.Get("/hello")->status, 200);
}

TEST_F(HttpServerTest, AnAnswerMayComeLaterFromAnotherThread) {
  Serve();
  TestClient client = Client();
  HttpRequest request;
  request.target = "/held";
  auto pending = client.Start(request);
  Responder responder = held_.get_future().get();
  std::thread([&] {
    responder.Reply({.status = 202, .content_type = "text/plain", .body = "first", .headers = {}});
    responder.Reply({.status = 500, .content_type = "text/plain", .body = "second", .headers = {}});
  }).join();
  auto got = pending.get();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 202);
  EXPECT_EQ(got->body, "first");
}

TEST_F(HttpServerTest, TheResponderKnowsThatItsClientWentAway) {
  Serve();
  auto responder = [&] {
    TestClient client = Client();
    HttpRequest request;
    request.target = "/held";
    auto pending = client.Start(request);
    Responder got = held_.get_future().get();
    EXPECT_FALSE(got.closed());
    return got;
  }();
  while (!responder.closed()) std::this_thread::yield();
  responder.Reply({});
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  Serve();
  RawClient raw(server_->port());
  raw.Send(
      "GET /files/1 HTTP/1.1\r\nHost: h\r\n\r\nGET /files/2 HTTP/1.1\r\nHost: h\r\n"
      "Connection: close\r\n\r\n");
  std::string all = raw.ReadToEnd();
  size_t first = all.find("/files/1");
  size_t second = all.find("/files/2");
  ASSERT_NE(second, std::string::npos) << all;
  EXPECT_LT(first, second);
  EXPECT_THAT(all, HasSubstr("Connection: close"));
}

TEST_F(HttpServerTest, GarbageIs400AndOversizedHeadersAre431) {
  Serve();
  RawClient garbage(server_->port());
  garbage.Send("\x16\x03\x01\x02 not http\r\n\r\n");
  EXPECT_THAT(garbage.ReadToEnd(), StartsWith("HTTP/1.1 400 "));
  RawClient large(server_->port());
  large.Send("GET /hello HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n");
  large.CloseSending();
  EXPECT_THAT(large.ReadToEnd(), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpServerTest, ExpectContinueIsGrantedBeforeTheBody) {
  Serve();
  RawClient raw(server_->port());
  raw.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
      "Connection: close\r\n\r\n");
  raw.Send("hi");
  std::string all = raw.ReadToEnd();
  EXPECT_THAT(all, StartsWith("HTTP/1.1 100 Continue\r\n\r\n"));
  EXPECT_THAT(all, testing::EndsWith("hi"));
}

TEST_F(HttpServerTest, AConnectionThatSendsNoWholeHeaderIsClosed) {
  ServerOptions options;
  options.header_timeout = std::chrono::milliseconds(50);
  Serve(std::move(options));
  RawClient raw(server_->port());
  raw.Send("GET /hello HTT");
  EXPECT_EQ(raw.ReadToEnd(), "");
}

TEST_F(HttpServerTest, AConnectionThatStopsInItsBodyIsClosed) {
  ServerOptions options;
  options.read_timeout = std::chrono::milliseconds(50);
  Serve(std::move(options));
  RawClient raw(server_->port());
  raw.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(raw.ReadToEnd(), "");
}

TEST_F(HttpServerTest, AFullServerMakesRoomFromItsIdleConnections) {
  ServerOptions options;
  options.max_connections = 2;
  Serve(std::move(options));
  std::vector<TestClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(Client());
    auto got = clients.back().Get("/hello");
    ASSERT_TRUE(got) << i << ": " << got.error().message;
    EXPECT_EQ(got->status, 200);
  }
  EXPECT_FALSE(clients.front().Get("/hello"));  // was the longest idle
}

TEST_F(HttpServerTest, DrainLetsTheRequestInFlightFinishAndClosesIdleOnes) {
  Serve();
  TestClient idle = Client();
  ASSERT_TRUE(idle.Get("/hello"));
  TestClient busy = Client();
  HttpRequest request;
  request.target = "/held";
  auto pending = busy.Start(request);
  Responder responder = held_.get_future().get();
  int port = server_->port();
  std::thread stopper([&] { server_.reset(); });
  // The stop has begun once the idle connection is closed.
  bool closed = false;
  while (!closed) loop_.RunSync([&] { closed = !idle.connection().usable(); });
  EXPECT_EQ(pending.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  Peer again = peer_;
  again.port = port;
  EXPECT_FALSE(TestClient::Open(loop_, again));
  responder.Reply({.status = 200, .content_type = "text/plain", .body = "made it", .headers = {}});
  auto got = pending.get();
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->body, "made it");
  EXPECT_EQ(FindHeader(got->headers, "Connection"), "close");
  stopper.join();
}

TEST_F(HttpServerTest, DrainGivesUpOnAHandlerThatNeverAnswers) {
  ServerOptions options;
  options.drain = std::chrono::milliseconds(50);
  Serve(std::move(options));
  TestClient client = Client();
  HttpRequest request;
  request.target = "/held";
  auto pending = client.Start(request);
  Responder responder = held_.get_future().get();
  server_.reset();
  EXPECT_FALSE(pending.get());
  EXPECT_TRUE(responder.closed());
  responder.Reply({});  // after its server: harmless
}

TEST_F(HttpServerTest, APortInUseIsNamed) {
  Serve();
  ServerOptions options;
  options.address = "127.0.0.1:" + std::to_string(server_->port());
  auto second = HttpServer::Listen(loop_, std::move(options), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("127.0.0.1:"));
}

TEST_F(HttpServerTest, BadListenAddressesAreRefused) {
  for (const char* address : {"", "80", "127.0.0.1", "localhost:", "host.example:80", "::1:80",
                              "127.0.0.1:65536", "127.0.0.1:-1"}) {
    ServerOptions options;
    options.address = address;
    auto server = HttpServer::Listen(loop_, std::move(options), {});
    ASSERT_FALSE(server) << address;
    EXPECT_EQ(server.error().code, Code::kInvalidArgument) << address;
  }
}

TEST_F(HttpServerTest, AnEmptyHostListensOnAllAddresses) {
  ServerOptions options;
  options.address = ":0";
  std::vector<Route> routes;
  routes.push_back({"GET", "/healthz", [](HttpRequest, Responder r) { r.Reply({}); }});
  auto server = HttpServer::Listen(loop_, std::move(options), std::move(routes));
  ASSERT_TRUE(server) << server.error().message;
  for (const char* host : {"127.0.0.1", "localhost"}) {
    Peer peer;
    peer.host = host;
    peer.port = (*server)->port();
    auto client = TestClient::Open(loop_, peer);
    ASSERT_TRUE(client) << client.error().message;
    EXPECT_EQ(client->Get("/healthz")->status, 200);
  }
}

}  // namespace
}  // namespace hami::net

#include "platform/net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/net/http_server.h"
#include "platform/net/test_client.h"

namespace hami::net {
namespace {

using testing::HasSubstr;

class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest() {
    ServerOptions options;
    options.address = "127.0.0.1:0";
    std::vector<Route> routes;
    routes.push_back({"GET", "/held", [this](HttpRequest, Responder responder) {
                        held_.set_value(std::move(responder));
                      }});
    routes.push_back({"GET", "/host", [](HttpRequest request, Responder responder) {
                        HttpResponse response;
                        response.body = request.HeaderValue("Host");
                        responder.Reply(std::move(response));
                      }});
    server_ = std::move(*HttpServer::Listen(loop_, std::move(options), std::move(routes)));
    peer_.host = "127.0.0.1";
    peer_.port = server_->port();
  }

  Loop loop_;
  std::promise<Responder> held_;
  std::unique_ptr<HttpServer> server_;
  Peer peer_;
};

TEST_F(HttpClientTest, AnExchangeEndsAtItsDeadline) {
  auto client = TestClient::Open(loop_, peer_);
  ASSERT_TRUE(client);
  HttpRequest request;
  request.target = "/held";
  auto got = client->Start(request, std::chrono::milliseconds(30)).get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kDeadlineExceeded);
  EXPECT_FALSE(client->connection().usable());
  held_.get_future().get().Reply({});
}

TEST_F(HttpClientTest, CloseEndsTheExchangeWithCancelled) {
  auto client = TestClient::Open(loop_, peer_);
  ASSERT_TRUE(client);
  HttpRequest request;
  request.target = "/held";
  auto pending = client->Start(request);
  Responder responder = held_.get_future().get();
  loop_.RunSync([&] { client->connection().Close(); });
  auto got = pending.get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kCancelled);
}

TEST_F(HttpClientTest, AServerThatClosesAnIdleConnectionIsNoticed) {
  auto client = TestClient::Open(loop_, peer_);
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->Get("/host"));
  server_.reset();
  bool usable = true;
  while (usable) loop_.RunSync([&] { usable = client->connection().usable(); });
}

TEST_F(HttpClientTest, TheHostHeaderCarriesThePort) {
  auto client = TestClient::Open(loop_, peer_);
  ASSERT_TRUE(client);
  EXPECT_EQ(client->Get("/host")->body, "127.0.0.1:" + std::to_string(peer_.port));
}

TEST_F(HttpClientTest, ARefusedConnectionNamesTheAddress) {
  server_.reset();
  auto client = TestClient::Open(loop_, peer_);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Code::kUnavailable);
  EXPECT_THAT(client.error().message, HasSubstr("127.0.0.1:" + std::to_string(peer_.port)));
}

TEST_F(HttpClientTest, AnUnknownNameFailsToResolve) {
  peer_.host = "no-such-host.invalid";
  auto client = TestClient::Open(loop_, peer_);
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().message, HasSubstr("no-such-host.invalid"));
}

TEST_F(HttpClientTest, OpeningCanBeGivenUp) {
  std::promise<Result<std::shared_ptr<HttpConnection>>> opened;
  loop_.RunSync([&] {
    auto opening = HttpConnection::Open(loop_, peer_, loop_.clock().Mono() + std::chrono::hours(1),
                                        [&](auto c) { opened.set_value(std::move(c)); });
    opening.cancel();
    opening.cancel();
  });
  auto got = opened.get_future().get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace hami::net

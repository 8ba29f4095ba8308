// A blocking HTTP client for tests, on HttpConnection. Tests only.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "platform/net/http_client.h"

namespace hami::net {

struct Fetched {
  int status = 0;
  std::vector<Header> headers;
  std::string body;
};

// One connection; use from the test's thread.
class TestClient {
 public:
  static Result<TestClient> Open(Loop& loop, const Peer& peer, Duration timeout = kTimeout) {
    std::promise<Result<std::shared_ptr<HttpConnection>>> opened;
    loop.RunSync([&] {
      HttpConnection::Open(loop, peer, loop.clock().Mono() + timeout,
                           [&](auto connection) { opened.set_value(std::move(connection)); });
    });
    auto connection = opened.get_future().get();
    if (!connection) return Fail(std::move(connection.error()));
    return TestClient(loop, std::move(*connection));
  }
  TestClient(TestClient&&) = default;
  ~TestClient() {
    if (connection_) loop_->RunSync([&] { connection_.reset(); });
  }

  std::future<Result<Fetched>> Start(HttpRequest request, Duration timeout = kTimeout) {
    struct Collect {
      Fetched got;
      std::promise<Result<Fetched>> done;
    };
    auto collect = std::make_shared<Collect>();
    HttpConnection::Exchange exchange;
    exchange.on_head = [collect](int status, const std::vector<Header>& headers) {
      collect->got.status = status;
      collect->got.headers = headers;
    };
    exchange.on_body = [collect](std::string_view piece) { collect->got.body += piece; };
    exchange.on_end = [collect](Result<void> end) {
      if (end) {
        collect->done.set_value(std::move(collect->got));
      } else {
        collect->done.set_value(Fail(std::move(end.error())));
      }
    };
    auto future = collect->done.get_future();
    loop_->RunSync([&] {
      if (!connection_->usable()) {
        return exchange.on_end(Fail(Code::kUnavailable, "connection is closed"));
      }
      connection_->Start(std::move(request), loop_->clock().Mono() + timeout, std::move(exchange));
    });
    return future;
  }
  Result<Fetched> Do(HttpRequest request) { return Start(std::move(request)).get(); }
  Result<Fetched> Get(const std::string& target) {
    HttpRequest request;
    request.target = target;
    return Do(std::move(request));
  }
  Result<Fetched> Post(const std::string& target, std::string body) {
    HttpRequest request;
    request.method = "POST";
    request.target = target;
    request.body = std::move(body);
    return Do(std::move(request));
  }
  HttpConnection& connection() { return *connection_; }

 private:
  static constexpr Duration kTimeout = std::chrono::seconds(20);
  TestClient(Loop& loop, std::shared_ptr<HttpConnection> connection)
      : loop_(&loop), connection_(std::move(connection)) {}
  Loop* loop_;
  std::shared_ptr<HttpConnection> connection_;
};

}  // namespace hami::net

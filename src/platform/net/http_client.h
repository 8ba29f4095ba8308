// HttpConnection: one client connection, one exchange at a time; the body of an answer comes as it
// arrives, so an exchange may last for hours (watches).
//
// For platform/kube and other clients of ours. Lives on the Loop: every call and callback is on its
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "platform/net/http.h"
#include "platform/net/loop.h"
#include "platform/net/tls.h"

namespace hami::net {

// Where to connect and what to expect there.
struct Peer {
  std::string host;
  int port = 0;
  std::string unix_path;            // instead of host and port
  std::shared_ptr<TlsContext> tls;  // null: plain
  std::string server_name;          // TLS name or address to expect, "" = host
};

// "https://host:port", "http://[::1]:8080", "unix:/path". Returns whether TLS is wanted; fills
// host, port or unix_path. Errors: kInvalidArgument.
struct Url {
  bool tls = false;
  std::string host;
  int port = 0;
  std::string unix_path;
  std::string base_path;  // without a trailing slash
};
Result<Url> ParseUrl(const std::string& url);

class HttpConnection {
 public:
  struct Exchange {
    std::function<void(int status, const std::vector<Header>& headers)> on_head;
    std::function<void(std::string_view piece)> on_body;
    // Exactly once, last. Ok: the answer is complete. kUnavailable: connection lost;
    // kDeadlineExceeded; kCancelled: Close was called; kInvalidArgument: the peer does not speak
    // HTTP.
    std::function<void(Result<void>)> on_end;
  };
  using Opened = std::function<void(Result<std::shared_ptr<HttpConnection>>)>;

  // The result's Cancel (idempotent) makes `opened` fail with kCancelled.
  struct Opening {
    std::function<void()> cancel;
  };
  // Errors: kUnavailable (naming the step and the address), kDeadlineExceeded, kCancelled.
  static Opening Open(Loop& loop, Peer peer, MonoTime deadline, Opened opened);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Host, Content-Length and Connection are added. Only when usable().
  void Start(HttpRequest request, MonoTime deadline, Exchange exchange);
  // Moves the deadline of the exchange under way.
  void SetDeadline(MonoTime deadline);
  void Close();

  // Open and between exchanges. A peer that closed an idle connection is noticed at once.
  bool usable() const;
  // Of the last exchange: whether any of it can have reached the peer, whether an answer began.
  bool sent() const;
  bool answered() const;

 private:
  struct Impl;
  explicit HttpConnection(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::net

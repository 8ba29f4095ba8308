// HttpServer: HTTP/1.1 with keep-alive, plain or TLS.
//
// Lives on a Loop; the destructor stops accepting, lets requests in flight finish (up to `drain`)
// and closes; it blocks for that long and must not run on the Loop's thread. Handlers are called on
// the I/O thread and must not block: they post to a worker pool or a state thread and reply later
// through the Responder, from any thread. Unknown paths answer 404, known ones with another method
// 405, too long bodies 413. GET routes answer HEAD as well.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "platform/net/http.h"
#include "platform/net/loop.h"

namespace hami::net {

// Copyable handle of one pending answer. Exactly one Reply counts; when the last copy dies without
// one, the client gets 500. `closed` tells that the client went away (poll; thread-safe). Harmless
// after its server is gone.
class Responder {
 public:
  struct State;
  explicit Responder(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void Reply(HttpResponse response) const;
  bool closed() const;

 private:
  std::shared_ptr<State> state_;
};

using Handler = std::function<void(HttpRequest, Responder)>;

struct Route {
  std::string method;  // "POST"; another method on a known path answers 405
  std::string path;    // exact; "/static/*" covers everything below "/static/"
  Handler handler;
  size_t body_limit = 1 << 20;  // bytes; longer bodies answer 413
};

// Certificate and key files, re-read when either changes (inotify on the folder plus a poll); a
// pair that does not parse or match is refused with a log line and the old one stays
// (spec/scheduler.md 3.5).
struct TlsFiles {
  std::string cert_file;
  std::string key_file;
  Duration poll = std::chrono::seconds(10);
};

struct ServerOptions {
  std::string address;            // "0.0.0.0:443", ":9395", "127.0.0.1:0"
  std::unique_ptr<TlsFiles> tls;  // null: plain HTTP
  Duration header_timeout =
      std::chrono::seconds(15);  // TLS handshake; then first byte to last header
  Duration read_timeout = std::chrono::seconds(60);  // body; as long again for writing the answer
  // Between requests; longer than Go clients keep theirs (90 s), so that it is the client who
  // closes.
  Duration idle_timeout = std::chrono::minutes(3);
  Duration drain = std::chrono::seconds(5);
  // When reached, the connection that has been idle longest makes room; none idle: new ones wait.
  size_t max_connections = 1024;
};

class HttpServer {
 public:
  // Errors: kInvalidArgument (address), kUnavailable (port in use; the message names it), TLS
  // files.
  static Result<std::unique_ptr<HttpServer>> Listen(Loop& loop, ServerOptions options,
                                                    std::vector<Route> routes);
  ~HttpServer();
  int port() const;
  // Seconds since epoch when the serving certificate expires; 0 without TLS.
  int64_t CertExpiryUnix() const;

 private:
  struct Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::net

// Session: one connection of an HttpServer, from its first byte to its last.
//
// Private to platform/net; lives on the Loop. Reads a request, hands it to its route's handler,
// writes the answer, again while both sides keep the connection alive.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "platform/net/http_server.h"
#include "platform/net/stream.h"

namespace hami::net {

// What a session asks of its server; gone (reset) once the server is destroyed.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  struct Match {
    const Route* route = nullptr;
    bool path_known = false;  // only the method is wrong
    std::string allow;        // methods of that path
  };
  virtual Match Find(std::string_view method, std::string_view path) const = 0;
  virtual const ServerOptions& options() const = 0;
  virtual bool draining() const = 0;
  virtual void OnEnd(class Session& session) = 0;
};

class Session {
 public:
  virtual ~Session() = default;
  virtual void Start() = 0;
  // Ends now when between requests, else behind the request under way.
  virtual void Drain() = 0;
  virtual void Abort() = 0;
  virtual bool idle() const = 0;
  virtual MonoTime idle_since() const = 0;
};

// `tls` null: plain.
std::shared_ptr<Session> MakeSession(Loop& loop, SessionHost& host, std::shared_ptr<Stream> stream,
                                     std::shared_ptr<TlsContext> tls);

}  // namespace hami::net

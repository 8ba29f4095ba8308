// Stream: one connected byte stream, plain TCP, TLS or a unix socket; and how to get one.
//
// Private to platform/net. Lives on the Loop: every call and every completion is on its thread. One
// read and one write may be under way at a time; completions keep the stream alive.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "platform/net/loop.h"
#include "platform/net/tls.h"

namespace hami::net {

using IoDone = std::function<void(Result<size_t>)>;

class Stream {
 public:
  virtual ~Stream() = default;
  // At least one byte, or 0 at the end of the stream. `data` must live until `done`.
  // A TLS peer that leaves without close_notify reads as an end (Go's clients do that).
  virtual void ReadSome(char* data, size_t size, IoDone done) = 0;
  // All of head, then body. On failure `written` tells how much was handed to the peer's side at
  // most; 0: nothing can have arrived.
  using WriteDone = std::function<void(Result<void>, size_t written)>;
  virtual void Write(std::string head, std::string body, WriteDone done) = 0;
  // No more writes: close_notify for TLS, FIN for the others.
  virtual void CloseWrite(std::function<void()> done) = 0;
  // Operations under way complete with kCancelled.
  virtual void Close() = 0;
};

using StreamDone = std::function<void(Result<std::shared_ptr<Stream>>)>;

// Something under way that can be given up; its completion then comes with kCancelled.
class Cancellable {
 public:
  virtual ~Cancellable() = default;
  virtual void Cancel() = 0;
};

struct Endpoint {
  std::string host;  // name or address
  int port = 0;
  std::string unix_path;            // instead of host and port
  std::shared_ptr<TlsContext> tls;  // null: plain
  std::string server_name;          // name or address the certificate must carry; "" = host
};

// Resolves, connects (every address in turn), handshakes. No deadline of its own.
std::shared_ptr<Cancellable> Connect(Loop& loop, Endpoint endpoint, StreamDone done);

// Listener: accepts plain TCP connections until closed.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual int port() const = 0;
  // The next TCP connection; `done` may fail (too many files): the caller waits and asks again.
  using AcceptDone = std::function<void(Result<std::shared_ptr<Stream>>)>;
  virtual void Accept(AcceptDone done) = 0;
  virtual void Close() = 0;
};

// "0.0.0.0:443", ":9395" (all addresses, both families), "127.0.0.1:0", "[::1]:80".
// Errors: kInvalidArgument (address), kUnavailable (in use).
Result<std::shared_ptr<Listener>> ListenTcp(Loop& loop, const std::string& address);

// Server side of the handshake on an accepted plain stream, which is used up.
std::shared_ptr<Cancellable> AcceptTls(std::shared_ptr<Stream> plain,
                                       std::shared_ptr<TlsContext> tls, StreamDone done);

}  // namespace hami::net

// CertReloader: the server's TLS context, kept in step with a certificate and a key file.
//
// Private to platform/net; lives on the Loop. Follows the folders by inotify (Kubernetes swaps a
// `..data` symlink, editors rename) and polls besides. A pair that cannot be read, parsed or
// matched is refused with one log line; the one in use stays.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "platform/net/http_server.h"
#include "platform/net/tls.h"

namespace hami::net {

class CertReloader {
 public:
  // Fails when the first pair is no good.
  static Result<std::unique_ptr<CertReloader>> Create(Loop& loop, TlsFiles files);
  ~CertReloader();  // Loop's thread

  std::shared_ptr<TlsContext> current() const;  // Loop's thread
  int64_t ExpiryUnix() const;                   // any thread

 private:
  struct Impl;
  explicit CertReloader(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::net

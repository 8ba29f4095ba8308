// Credentials: token and TLS context of a Config, read again when their files change.
//
// Private to platform/kube; one thread (the Loop's). Files are looked at at most every 30 s, or at
// once after Expire (a 401).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/fs.h"
#include "platform/kube/config.h"
#include "platform/net/tls.h"

namespace hami::kube {

class Credentials {
 public:
  // Fails when the certificates or files of the configuration are no good.
  static Result<Credentials> Create(FileSystem& fs, Clock& clock, Config config);

  // "Bearer ...", or "" without a token.
  std::string Authorization();
  // Null for http:// servers.
  std::shared_ptr<net::TlsContext> Tls();
  // Grows whenever Tls() becomes another one; connections of an older generation should not be
  // reused.
  uint64_t generation() const { return generation_; }
  void Expire() { next_look_ = MonoTime(); }

 private:
  Credentials(FileSystem& fs, Clock& clock, Config config)
      : fs_(&fs), clock_(&clock), config_(std::move(config)) {}
  void Look();
  Result<void> Read();

  FileSystem* fs_;
  Clock* clock_;
  Config config_;
  MonoTime next_look_{};
  std::string token_;
  std::string cert_;
  std::string key_;
  std::shared_ptr<net::TlsContext> tls_;
  uint64_t generation_ = 0;
};

}  // namespace hami::kube

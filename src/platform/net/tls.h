// TLS contexts: keys, roots and protocol limits, made from PEM texts. Immutable once made; shared
// by connections. TLS 1.2 at least, ALPN http/1.1.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace hami::net {

struct TlsContext;

struct ClientTlsOptions {
  std::string ca_pem;    // "": the system's roots
  std::string cert_pem;  // with key_pem: client certificate
  std::string key_pem;
  bool insecure_skip_verify = false;
};

// Errors: kInvalidArgument naming the part (CA, certificate, key, pair).
Result<std::shared_ptr<TlsContext>> MakeClientTls(const ClientTlsOptions& options);
Result<std::shared_ptr<TlsContext>> MakeServerTls(const std::string& cert_pem,
                                                  const std::string& key_pem);
// notAfter of the leaf certificate, seconds since epoch; 0 when there is none.
int64_t CertExpiryUnix(const TlsContext& tls);

}  // namespace hami::net

// The asio side of TlsContext. Private to platform/net: include from .cc files there only.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <cstdint>

#include "platform/net/tls.h"

namespace hami::net {

struct TlsContext {
  explicit TlsContext(boost::asio::ssl::context::method method) : context(method) {}
  boost::asio::ssl::context context;
  bool verify_peer = false;
  int64_t cert_expiry_unix = 0;
};

}  // namespace hami::net

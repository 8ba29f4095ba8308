#include "platform/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <string_view>

#include "platform/net/asio_tls.h"

namespace hami::net {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

Result<void> Checked(const boost::system::error_code& ec, std::string_view what) {
  if (!ec) return {};
  return Fail(Code::kInvalidArgument, std::string(what) + ": " + ec.message());
}

Result<void> UsePair(TlsContext& tls, const std::string& cert_pem, const std::string& key_pem) {
  boost::system::error_code ec;
  tls.context.use_certificate_chain(asio::buffer(cert_pem), ec);
  TRY(Checked(ec, "certificate is not valid PEM"));
  tls.context.use_private_key(asio::buffer(key_pem), ssl::context::pem, ec);
  TRY(Checked(ec, "private key is not valid PEM or does not belong to the certificate"));
  SSL_CTX* native = tls.context.native_handle();
  if (SSL_CTX_check_private_key(native) != 1) {
    ERR_clear_error();
    return Fail(Code::kInvalidArgument, "private key does not belong to the certificate");
  }
  if (X509* leaf = SSL_CTX_get0_certificate(native)) {
    tm parts{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &parts) == 1) {
      tls.cert_expiry_unix = timegm(&parts);
    }
  }
  return {};
}

void Harden(TlsContext& tls) {
  SSL_CTX* native = tls.context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
}

int SelectHttp11(SSL*, const unsigned char** out, unsigned char* out_length,
                 const unsigned char* offered, unsigned int offered_length, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* selected = nullptr;
  int rc = SSL_select_next_proto(&selected, out_length, kHttp11, sizeof kHttp11 - 1, offered,
                                 offered_length);
  if (rc != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> MakeClientTls(const ClientTlsOptions& options) {
  auto tls = std::make_shared<TlsContext>(ssl::context::tls_client);
  Harden(*tls);
  boost::system::error_code ec;
  if (options.insecure_skip_verify) {
    tls->context.set_verify_mode(ssl::verify_none, ec);
  } else {
    tls->verify_peer = true;
    tls->context.set_verify_mode(ssl::verify_peer, ec);
    if (options.ca_pem.empty()) {
      tls->context.set_default_verify_paths(ec);
      TRY(Checked(ec, "system's CA certificates"));
    } else {
      tls->context.add_certificate_authority(asio::buffer(options.ca_pem), ec);
      TRY(Checked(ec, "CA certificate is not valid PEM"));
    }
  }
  if (!options.cert_pem.empty() || !options.key_pem.empty()) {
    TRY(UsePair(*tls, options.cert_pem, options.key_pem));
  }
  return tls;
}

Result<std::shared_ptr<TlsContext>> MakeServerTls(const std::string& cert_pem,
                                                  const std::string& key_pem) {
  auto tls = std::make_shared<TlsContext>(ssl::context::tls_server);
  Harden(*tls);
  SSL_CTX_set_alpn_select_cb(tls->context.native_handle(), &SelectHttp11, nullptr);
  TRY(UsePair(*tls, cert_pem, key_pem));
  return tls;
}

int64_t CertExpiryUnix(const TlsContext& tls) { return tls.cert_expiry_unix; }

}  // namespace hami::net

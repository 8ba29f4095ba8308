#include "platform/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <memory>

namespace hami::tls {
namespace {

template <auto kFree>
struct Freer {
  template <class T>
  void operator()(T* p) const {
    kFree(p);
  }
};
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freer<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;
using Store = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

// The newest OpenSSL error, and an empty queue.
std::string OpensslText() {
  unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown OpenSSL error";
  char text[256];
  ERR_error_string_n(code, text, sizeof(text));
  return text;
}

tl::unexpected<Error> Broken(std::string_view what) {
  return Fail(Code::kInternal, std::string(what) + ": " + OpensslText());
}

Bio Memory(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(std::max(size, 0L)));
}

// An encrypted key must fail, not ask for a password on the terminal.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) { return -1; }

Result<Key> ParseKey(std::string_view pem) {
  Bio bio = Memory(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!key) {
    return Fail(Code::kInvalidArgument, "private key: expected unencrypted PEM: " + OpensslText());
  }
  return key;
}

// All certificates of a PEM text, in order; at least one.
Result<std::vector<Cert>> ParseCerts(std::string_view pem) {
  Bio bio = Memory(pem);
  std::vector<Cert> certs;
  while (X509* cert = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    certs.emplace_back(cert);
  }
  if (certs.empty()) {
    return Fail(Code::kInvalidArgument, "certificate: expected PEM: " + OpensslText());
  }
  ERR_clear_error();  // the read that found the end
  return certs;
}

bool IsIp(const std::string& host) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

bool IsDnsName(std::string_view host) {
  if (host.starts_with("*.")) host.remove_prefix(2);
  if (host.empty() || host.size() > 253) return false;
  size_t label = 0;
  char before = '.';
  for (char c : host) {
    bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c == '.' ? (label == 0 || before == '-') : !(alnum || (c == '-' && label > 0))) {
      return false;
    }
    label = c == '.' ? 0 : label + 1;
    if (label > 63) return false;
    before = c;
  }
  return before != '.' && before != '-';
}

Result<Key> NewKey() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return Broken("create P-256 key");
  return key;
}

bool SetTime(ASN1_TIME* field, WallTime t) {
  return ASN1_TIME_set(field, static_cast<time_t>(UnixSeconds(t))) != nullptr;
}

bool SetRandomSerial(X509* cert) {
  BigNumber number(BN_new());
  return number && BN_rand(number.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert)) != nullptr;
}

bool AddExtension(X509* cert, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(cert, extension.get(), -1) == 1;
}

Result<Cert> NewCert(std::string_view common_name, EVP_PKEY* key, Validity validity) {
  if (validity.not_after <= validity.not_before) {
    return Fail(Code::kInvalidArgument, "certificate validity: expected an end after the start");
  }
  Cert cert(X509_new());
  common_name = common_name.substr(0, 64);  // X.520's upper bound
  X509_NAME* name = cert ? X509_get_subject_name(cert.get()) : nullptr;
  if (!cert || X509_set_version(cert.get(), X509_VERSION_3) != 1 || !SetRandomSerial(cert.get()) ||
      !SetTime(X509_getm_notBefore(cert.get()), validity.not_before) ||
      !SetTime(X509_getm_notAfter(cert.get()), validity.not_after) ||
      X509_set_pubkey(cert.get(), key) != 1 ||
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1) {
    return Broken("create certificate");
  }
  return cert;
}

Result<KeyPairPem> ToPem(X509* cert, EVP_PKEY* key) {
  Bio cert_bio(BIO_new(BIO_s_mem()));
  Bio key_bio(BIO_new(BIO_s_mem()));
  if (!cert_bio || !key_bio || PEM_write_bio_X509(cert_bio.get(), cert) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Broken("write PEM");
  }
  return KeyPairPem{Contents(cert_bio.get()), Contents(key_bio.get())};
}

WallTime FromAsn1(const ASN1_TIME* t) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(t, &tm) != 1) return WallTime{};
  // Beyond 2262 nanoseconds overflow; the bound compares as "far away", which is what callers ask.
  constexpr time_t kMaxSeconds = 9'223'372'036;
  return WallTime(std::chrono::seconds(std::min<time_t>(timegm(&tm), kMaxSeconds)));
}

std::string IpText(const ASN1_OCTET_STRING* ip) {
  char text[INET6_ADDRSTRLEN];
  int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(ip) != 16) return "";
  return inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof(text)) ? text : "";
}

std::vector<std::string> HostsOf(X509* cert) {
  std::vector<std::string> hosts;
  Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const ASN1_STRING* s = name->d.dNSName;
      hosts.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                         static_cast<size_t>(ASN1_STRING_length(s)));
    } else if (name->type == GEN_IPADD) {
      hosts.push_back(IpText(name->d.iPAddress));
    }
  }
  return hosts;
}

// Chain and time only; host names are checked apart so that each gets its own sentence.
Result<void> VerifyChain(X509* leaf, const std::vector<Cert>& roots, WallTime when) {
  Store store(X509_STORE_new());
  StoreContext context(X509_STORE_CTX_new());
  if (!store || !context) return Broken("verify certificate");
  for (const Cert& root : roots) {
    if (X509_STORE_add_cert(store.get(), root.get()) != 1) return Broken("use CA certificate");
  }
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf, nullptr) != 1) {
    return Broken("verify certificate");
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(UnixSeconds(when)));
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
  if (X509_verify_cert(context.get()) == 1) return {};
  int why = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  return Fail(Code::kFailedPrecondition,
              std::string("certificate is not accepted: ") + X509_verify_cert_error_string(why));
}

}  // namespace

Result<KeyPairPem> CreateCa(std::string_view common_name, Validity validity) {
  if (common_name.empty()) return Fail(Code::kInvalidArgument, "CA: expected a common name");
  TRY_ASSIGN(Key key, NewKey());
  TRY_ASSIGN(Cert cert, NewCert(common_name, key.get(), validity));
  if (X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get())) != 1 ||
      !AddExtension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(cert.get(), cert.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(cert.get(), cert.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(cert.get(), key.get(), EVP_sha256()) == 0) {
    return Broken("sign CA");
  }
  return ToPem(cert.get(), key.get());
}

Result<KeyPairPem> CreateServingPair(const KeyPairPem& ca, std::span<const std::string> hosts,
                                     Validity validity) {
  std::string common_name, alt_names;
  for (const std::string& host : hosts) {
    bool ip = IsIp(host);
    if (!ip && !IsDnsName(host)) {
      return Fail(Code::kInvalidArgument,
                  "host \"" + host + "\": expected a DNS name or an IP address");
    }
    if (!ip && common_name.empty()) common_name = host;
    alt_names += (alt_names.empty() ? "" : ",") + std::string(ip ? "IP:" : "DNS:") + host;
  }
  if (alt_names.empty()) return Fail(Code::kInvalidArgument, "certificate: expected a host");
  if (common_name.empty()) common_name = hosts.front();

  TRY_ASSIGN(std::vector<Cert> issuers, ParseCerts(ca.cert));
  TRY_ASSIGN(Key issuer_key, ParseKey(ca.key));
  X509* issuer = issuers.front().get();
  if (X509_check_ca(issuer) == 0 || X509_check_private_key(issuer, issuer_key.get()) != 1) {
    ERR_clear_error();
    return Fail(Code::kInvalidArgument, "CA: expected a CA certificate with its own key");
  }
  TRY_ASSIGN(Key key, NewKey());
  TRY_ASSIGN(Cert cert, NewCert(common_name, key.get(), validity));
  if (X509_set_issuer_name(cert.get(), X509_get_subject_name(issuer)) != 1 ||
      !AddExtension(cert.get(), issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(cert.get(), issuer, NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(cert.get(), issuer, NID_ext_key_usage, "serverAuth") ||
      !AddExtension(cert.get(), issuer, NID_subject_key_identifier, "hash") ||
      !AddExtension(cert.get(), issuer, NID_authority_key_identifier, "keyid") ||
      !AddExtension(cert.get(), issuer, NID_subject_alt_name, alt_names.c_str()) ||
      X509_sign(cert.get(), issuer_key.get(), EVP_sha256()) == 0) {
    return Broken("sign serving certificate");
  }
  return ToPem(cert.get(), key.get());
}

Result<CertificateInfo> Inspect(std::string_view pem) {
  TRY_ASSIGN(std::vector<Cert> certs, ParseCerts(pem));
  X509* cert = certs.front().get();
  CertificateInfo info;
  char name[256];
  int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
  if (size > 0) info.subject.assign(name, static_cast<size_t>(size));
  info.hosts = HostsOf(cert);
  info.validity = {FromAsn1(X509_get0_notBefore(cert)), FromAsn1(X509_get0_notAfter(cert))};
  info.is_ca = X509_check_ca(cert) != 0;
  return info;
}

Result<void> CheckPair(const KeyPairPem& pair) {
  TRY_ASSIGN(std::vector<Cert> certs, ParseCerts(pair.cert));
  TRY_ASSIGN(Key key, ParseKey(pair.key));
  if (X509_check_private_key(certs.front().get(), key.get()) == 1) return {};
  ERR_clear_error();
  return Fail(Code::kFailedPrecondition, "certificate and private key do not belong together");
}

Result<void> CheckServing(std::string_view cert, std::string_view ca_bundle,
                          std::span<const std::string> hosts, WallTime when) {
  TRY_ASSIGN(std::vector<Cert> certs, ParseCerts(cert));
  TRY_ASSIGN(std::vector<Cert> roots, ParseCerts(ca_bundle));
  X509* leaf = certs.front().get();
  TRY(VerifyChain(leaf, roots, when));
  for (const std::string& host : hosts) {
    bool ok = IsIp(host) ? X509_check_ip_asc(leaf, host.c_str(), 0) == 1
                         : X509_check_host(leaf, host.data(), host.size(),
                                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
    if (!ok) {
      return Fail(Code::kFailedPrecondition, "certificate is not made for host \"" + host + "\"");
    }
  }
  return {};
}

}  // namespace hami::tls

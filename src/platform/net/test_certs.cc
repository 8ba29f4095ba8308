#include "platform/net/test_certs.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <memory>

#include "base/result.h"

namespace hami::net {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;

std::string Take(const Bio& bio) {
  char* data = nullptr;
  long n = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(n)};
}

std::string Pem(X509* cert) {
  Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), cert);
  return Take(bio);
}

std::string Pem(EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return Take(bio);
}

void AddExtension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

Cert NewCert(EVP_PKEY* key, const std::string& common_name, int days) {
  static std::atomic<long> serial{1};
  Cert cert(X509_new());
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -10L * 86'400);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), days * 86'400L);
  X509_set_pubkey(cert.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return cert;
}

template <class T>
T* ReadPem(const std::string& pem, T* (*read)(BIO*, T**, pem_password_cb*, void*)) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return read(bio.get(), nullptr, nullptr, nullptr);
}

}  // namespace

TestCa::TestCa(const std::string& name) {
  Key key(EVP_EC_gen("P-256"));
  Cert cert = NewCert(key.get(), name, 365);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  AddExtension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(cert.get(), cert.get(), NID_subject_key_identifier, "hash");
  X509_sign(cert.get(), key.get(), EVP_sha256());
  pair_ = {Pem(cert.get()), Pem(key.get())};
}

CertPair TestCa::Issue(const std::string& common_name, const std::vector<std::string>& names,
                       int days) const {
  Cert ca(ReadPem<X509>(pair_.cert_pem, PEM_read_bio_X509));
  Key ca_key(ReadPem<EVP_PKEY>(pair_.key_pem, PEM_read_bio_PrivateKey));
  Key key(EVP_EC_gen("P-256"));
  Cert cert = NewCert(key.get(), common_name, days);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(ca.get()));
  std::string alternatives;
  for (const std::string& name : names) {
    unsigned char binary[16];
    bool address = inet_pton(AF_INET, name.c_str(), binary) == 1 ||
                   inet_pton(AF_INET6, name.c_str(), binary) == 1;
    alternatives +=
        (alternatives.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
  }
  if (!alternatives.empty()) {
    AddExtension(cert.get(), ca.get(), NID_subject_alt_name, alternatives);
  }
  X509_sign(cert.get(), ca_key.get(), EVP_sha256());
  return {Pem(cert.get()), Pem(key.get())};
}

}  // namespace hami::net

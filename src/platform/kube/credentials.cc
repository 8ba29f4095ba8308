#include "platform/kube/credentials.h"

#include <utility>

#include "base/log.h"

namespace hami::kube {
namespace {

constexpr Duration kLookEvery = std::chrono::seconds(30);

std::string TrimEnd(std::string text) {
  size_t end = text.find_last_not_of(" \t\r\n");
  text.resize(end == std::string::npos ? 0 : end + 1);
  return text;
}

}  // namespace

Result<Credentials> Credentials::Create(FileSystem& fs, Clock& clock, Config config) {
  Credentials out(fs, clock, std::move(config));
  TRY(out.Read());
  out.next_look_ = clock.Mono() + kLookEvery;
  return out;
}

Result<void> Credentials::Read() {
  std::string token = config_.token;
  if (!config_.token_file.empty()) {
    TRY_ASSIGN(token, fs_->Read(config_.token_file));
  }
  token_ = TrimEnd(std::move(token));
  if (!config_.server.starts_with("https://")) return {};
  std::string cert = config_.client_cert_pem;
  std::string key = config_.client_key_pem;
  if (!config_.client_cert_file.empty()) {
    TRY_ASSIGN(cert, fs_->Read(config_.client_cert_file));
  }
  if (!config_.client_key_file.empty()) {
    TRY_ASSIGN(key, fs_->Read(config_.client_key_file));
  }
  if (tls_ && cert == cert_ && key == key_) return {};
  net::ClientTlsOptions options;
  options.ca_pem = config_.ca_pem;
  options.cert_pem = cert;
  options.key_pem = key;
  options.insecure_skip_verify = config_.insecure_skip_verify;
  TRY_ASSIGN(tls_, net::MakeClientTls(options));
  cert_ = std::move(cert);
  key_ = std::move(key);
  ++generation_;
  return {};
}

void Credentials::Look() {
  MonoTime now = clock_->Mono();
  if (now < next_look_) return;
  next_look_ = now + kLookEvery;
  auto read = Read();
  if (!read) {
    LOG(kWarn, "API credentials not renewed, the old ones stay").Kv("error", read.error().message);
  }
}

std::string Credentials::Authorization() {
  Look();
  return token_.empty() ? std::string() : "Bearer " + token_;
}

std::shared_ptr<net::TlsContext> Credentials::Tls() {
  Look();
  return tls_;
}

}  // namespace hami::kube

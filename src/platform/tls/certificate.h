// Certificates for the webhook: make a small CA, sign a serving pair, judge what a Secret holds.
//
// Plain functions over PEM texts; no files, no clock (times are arguments), any thread. Keys are
// P-256, signatures ECDSA with SHA-256, serial numbers 127 random bits. Source: spec/helm.md 3.4,
// spec/scheduler.md 3.5.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace hami::tls {

struct KeyPairPem {
  std::string cert;  // one certificate (a CA) or a chain, leaf first
  std::string key;   // PKCS#8, unencrypted
};

struct Validity {
  WallTime not_before;
  WallTime not_after;
};

struct CertificateInfo {
  std::string subject;             // common name, "" when it has none
  std::vector<std::string> hosts;  // DNS names and IP addresses of the subject alternative names
  Validity validity;
  bool is_ca = false;
};

// A self-signed CA that may sign leaf certificates only (path length 0). Errors: kInvalidArgument
// for an empty name or a validity that ends before it starts; kInternal with OpenSSL's words.
Result<KeyPairPem> CreateCa(std::string_view common_name, Validity validity);

// A serving pair signed by `ca`. Each host is an IP address or a DNS name ("*." allowed in front);
// the first DNS name (or else the first host) is the common name, cut to 64 bytes. Errors:
// kInvalidArgument naming the host, or a CA that is not one.
Result<KeyPairPem> CreateServingPair(const KeyPairPem& ca, std::span<const std::string> hosts,
                                     Validity validity);

// The first certificate of `pem`. Errors: kInvalidArgument.
Result<CertificateInfo> Inspect(std::string_view pem);

// Ok when `pair.key` is the key of the first certificate of `pair.cert`. Errors: kInvalidArgument
// (does not parse), kFailedPrecondition (they do not belong together).
Result<void> CheckPair(const KeyPairPem& pair);

// Ok when a client that trusts `ca_bundle` accepts `cert` for each of `hosts` at `when`. Errors:
// kInvalidArgument (does not parse), kFailedPrecondition naming host, CA or time.
Result<void> CheckServing(std::string_view cert, std::string_view ca_bundle,
                          std::span<const std::string> hosts, WallTime when);

}  // namespace hami::tls

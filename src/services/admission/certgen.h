// Certgen: the webhook's certificate in a Secret, and its CA in the webhook configuration.
//
// What the chart's hook Jobs run (`hami-scheduler certgen create|patch`), with the flags of
// kube-webhook-certgen (spec/helm.md 3.4). Both steps can be repeated and run side by side.
// Blocking calls: a program of its own, never on a service's threads. The API server stands behind
// a function so that tests play it.
//
// The Secret holds `ca` (one or two certificates), `ca.key`, and the pair under the names asked
// for. With `ca.key` a renewed pair keeps its CA, so that nothing is refused until the Secret has
// reached the Pods.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "platform/kube/client.h"

namespace hami::admission {

using ApiCall = std::function<Result<kube::Response>(kube::Request)>;

struct SecretSpec {
  std::string ns;
  std::string name;
  std::string cert_name = "cert";  // keys in the Secret's data
  std::string key_name = "key";
  std::vector<std::string> hosts;  // DNS names and IP addresses
  Duration validity = std::chrono::hours(24 * 3650);
  Duration renew_before = std::chrono::hours(24 * 30);
};

enum class SecretOutcome : uint8_t { kCreated, kKept, kRenewed };

// Creates the Secret when it is absent; renews the pair when it expires soon, lacks a host or is
// broken. A Secret that somebody else made (no `ca` in it) is kept as long as its pair fits
// together. Errors: the API server's, with what was attempted; kInvalidArgument for names and
// hosts.
Result<SecretOutcome> EnsureSecret(const ApiCall& api, const SecretSpec& spec, const Clock& clock);

struct WebhookSpec {
  std::string secret_ns;
  std::string secret_name;
  std::string webhook_name;  // of the Mutating- and ValidatingWebhookConfiguration
  bool mutating = true;
  bool validating = true;
  std::string failure_policy;  // "Fail", "Ignore"; "" leaves it
};

// Writes the Secret's CA into every webhook of the configurations asked for; writes nothing when it
// is there already. Errors: as above; kFailedPrecondition when the Secret has no CA.
Result<void> PatchWebhooks(const ApiCall& api, const WebhookSpec& spec);

// The subcommand: argv[0] is "certgen", then "create" or "patch" and flags. Returns the exit code 0
// (help included). Errors are for main to print: kInvalidArgument is a wrong command line (exit
// code 2), anything else what failed (exit code 1).
Result<int> RunCertgen(int argc, const char* const* argv);

}  // namespace hami::admission

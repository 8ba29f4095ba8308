#include "services/admission/certgen.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/base64.h"
#include "base/duration.h"
#include "base/flags.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "platform/kube/config.h"
#include "platform/net/loop.h"
#include "platform/tls/certificate.h"

namespace hami::admission {
namespace {

namespace json = boost::json;

constexpr char kCa[] = "ca";
constexpr char kCaKey[] = "ca.key";
constexpr char kCertManagerCa[] = "ca.crt";
constexpr char kCaName[] = "hami-webhook-ca";
constexpr int kAttempts = 5;  // of a write that meets another writer
constexpr Duration kClockSkew = std::chrono::hours(1);

// Names go into paths as they are: only what Kubernetes accepts as one is let in.
Result<void> CheckName(std::string_view flag, std::string_view name) {
  bool ok =
      !name.empty() && name.size() <= 253 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos &&
      name.front() != '.' && name.front() != '-';
  if (ok) return {};
  return Fail(Code::kInvalidArgument, "--" + std::string(flag) + " \"" + std::string(name) +
                                          "\": expected the name of a Kubernetes object");
}

std::string SecretPath(std::string_view ns) {
  return "/api/v1/namespaces/" + std::string(ns) + "/secrets";
}

// An entry of a Secret's data, decoded; "" when absent or not base64.
std::string DataOf(const Json& secret, const std::string& key) {
  return DecodeBase64(StringAt(secret, {"data", key})).value_or("");
}

Result<Json> Read(const ApiCall& api, std::string path) {
  kube::Request get;
  get.path = std::move(path);
  TRY_ASSIGN(kube::Response response, api(std::move(get)));
  return ParseJson(response.body);
}

Result<void> Write(const ApiCall& api, std::string method, std::string path, const Json& object) {
  kube::Request request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.body = ToJson(object);
  TRY(api(std::move(request)));
  return {};
}

// Why the pair in the Secret must be made anew; "" when it may stay.
std::string RenewReason(const Json& secret, const SecretSpec& spec, const Clock& clock) {
  tls::KeyPairPem pair{DataOf(secret, spec.cert_name), DataOf(secret, spec.key_name)};
  if (auto fits = tls::CheckPair(pair); !fits) return fits.error().message;
  std::string ca = DataOf(secret, kCa);
  if (ca.empty()) return "";  // made by somebody else, who renews it
  auto serves = tls::CheckServing(pair.cert, ca, spec.hosts, clock.Now() + spec.renew_before);
  if (serves) return "";
  return FormatDuration(spec.renew_before) + " from now: " + serves.error().message;
}

tls::Validity ValidityFrom(const Clock& clock, Duration length) {
  return {clock.Now() - kClockSkew, clock.Now() + length};
}

// The CA that signs: the Secret's own while it lives long enough, else a new one.
struct Issuer {
  tls::KeyPairPem pair;
  std::string bundle;  // what clients are told to trust
};

std::optional<Issuer> KeptIssuer(const Json& secret, const SecretSpec& spec, const Clock& clock) {
  Issuer kept{{DataOf(secret, kCa), DataOf(secret, kCaKey)}, DataOf(secret, kCa)};
  if (!tls::CheckPair(kept.pair)) return std::nullopt;
  auto info = tls::Inspect(kept.pair.cert);
  bool lives = info && info->is_ca &&
               info->validity.not_after >= clock.Now() + spec.renew_before + spec.renew_before;
  return lives ? std::optional(std::move(kept)) : std::nullopt;
}

Result<Issuer> NewIssuer(const Json& secret, const SecretSpec& spec, const Clock& clock) {
  Issuer made;
  TRY_ASSIGN(made.pair, tls::CreateCa(kCaName, ValidityFrom(clock, spec.validity)));
  made.bundle = made.pair.cert;
  // Pods serve the old pair until the Secret has reached them: its CA stays trusted beside the new
  // one.
  std::string old = DataOf(secret, kCa);
  std::string old_cert = DataOf(secret, spec.cert_name);
  if (tls::CheckServing(old_cert, old, {}, clock.Now())) made.bundle += old;
  return made;
}

// Fills the Secret's data with a fresh pair; everything else in it stays.
Result<void> Fill(Json& secret, const SecretSpec& spec, const Clock& clock) {
  std::optional<Issuer> issuer = KeptIssuer(secret, spec, clock);
  if (!issuer) {
    TRY_ASSIGN(issuer, NewIssuer(secret, spec, clock));
  }
  tls::Validity validity = ValidityFrom(clock, spec.validity);
  TRY_ASSIGN(tls::CertificateInfo ca, tls::Inspect(issuer->pair.cert));
  validity.not_after = std::min(validity.not_after, ca.validity.not_after);
  TRY_ASSIGN(tls::KeyPairPem pair, tls::CreateServingPair(issuer->pair, spec.hosts, validity));
  Json& data = secret.as_object()["data"];
  if (!data.is_object()) data = json::object();
  json::object& map = data.get_object();
  map[kCa] = EncodeBase64(issuer->bundle);
  map[kCaKey] = EncodeBase64(issuer->pair.key);
  map[spec.cert_name] = EncodeBase64(pair.cert);
  map[spec.key_name] = EncodeBase64(pair.key);
  return {};
}

// One look and at most one write. kConflict and kAlreadyExists mean that somebody else was quicker.
Result<SecretOutcome> EnsureOnce(const ApiCall& api, const SecretSpec& spec, const Clock& clock) {
  std::string path = SecretPath(spec.ns) + "/" + spec.name;
  Result<Json> secret = Read(api, path);
  if (!secret && secret.error().code == Code::kNotFound) {
    Json fresh =
        json::object{{"apiVersion", "v1"},
                     {"kind", "Secret"},
                     {"type", "Opaque"},
                     {"metadata", json::object{{"name", spec.name}, {"namespace", spec.ns}}}};
    TRY(Fill(fresh, spec, clock));
    TRY(Write(api, "POST", SecretPath(spec.ns), fresh));
    return SecretOutcome::kCreated;
  }
  if (!secret) return Fail(std::move(secret).error());
  if (!secret->is_object()) return Fail(Code::kDataLoss, "expected a JSON object");
  std::string reason = RenewReason(*secret, spec, clock);
  if (reason.empty()) return SecretOutcome::kKept;
  LOG(kInfo, "certificate is renewed").Kv("secret", spec.ns + "/" + spec.name).Kv("reason", reason);
  TRY(Fill(*secret, spec, clock));
  if (auto written = Write(api, "PUT", path, *secret); !written) {
    return Fail(std::move(written).error().With("renew (" + reason + ")"));
  }
  return SecretOutcome::kRenewed;
}

Result<void> PatchOnce(const ApiCall& api, const std::string& path, const std::string& ca,
                       const std::string& failure_policy) {
  TRY_ASSIGN(Json configuration, Read(api, path));
  json::array* webhooks = nullptr;
  if (auto* object = configuration.if_object()) {
    if (auto* list = object->if_contains("webhooks")) webhooks = list->if_array();
  }
  if (webhooks == nullptr || webhooks->empty()) {
    return Fail(Code::kFailedPrecondition, "it has no webhooks");
  }
  Json before = configuration;
  for (Json& webhook : *webhooks) {
    if (!webhook.is_object()) return Fail(Code::kDataLoss, "expected objects in webhooks");
    Json& client = webhook.get_object()["clientConfig"];
    if (!client.is_object()) client = json::object();
    client.get_object()["caBundle"] = ca;
    if (!failure_policy.empty()) webhook.get_object()["failurePolicy"] = failure_policy;
  }
  if (configuration == before) return {};
  return Write(api, "PUT", path, configuration);
}

// Repeats while another writer is quicker.
template <class F>
auto WithRetries(F&& once) -> decltype(once()) {
  for (int attempt = 1;; ++attempt) {
    auto result = once();
    bool raced = !result && (result.error().code == Code::kConflict ||
                             result.error().code == Code::kAlreadyExists);
    if (!raced || attempt == kAttempts) return result;
  }
}

Error Explained(Error error, const std::string& what) {
  if (error.code == Code::kPermissionDenied) {
    error.message +=
        " (the service account of this job lacks the right: see the chart's RBAC of "
        "the admission jobs)";
  }
  return std::move(error).With(what);
}

}  // namespace

Result<SecretOutcome> EnsureSecret(const ApiCall& api, const SecretSpec& spec, const Clock& clock) {
  TRY(CheckName("namespace", spec.ns));
  TRY(CheckName("secret-name", spec.name));
  if (spec.hosts.empty()) return Fail(Code::kInvalidArgument, "--host: expected at least one host");
  auto outcome = WithRetries([&] { return EnsureOnce(api, spec, clock); });
  if (!outcome) {
    return Fail(Explained(std::move(outcome).error(), "secret " + spec.ns + "/" + spec.name));
  }
  return outcome;
}

Result<void> PatchWebhooks(const ApiCall& api, const WebhookSpec& spec) {
  TRY(CheckName("namespace", spec.secret_ns));
  TRY(CheckName("secret-name", spec.secret_name));
  TRY(CheckName("webhook-name", spec.webhook_name));
  if (!spec.failure_policy.empty() && spec.failure_policy != "Fail" &&
      spec.failure_policy != "Ignore") {
    return Fail(Code::kInvalidArgument,
                "--patch-failure-policy \"" + spec.failure_policy + "\": expected Fail or Ignore");
  }
  std::string what = "secret " + spec.secret_ns + "/" + spec.secret_name;
  auto secret = Read(api, SecretPath(spec.secret_ns) + "/" + spec.secret_name);
  if (!secret) return Fail(Explained(std::move(secret).error(), what));
  std::string ca = DataOf(*secret, kCa);
  if (ca.empty()) ca = DataOf(*secret, kCertManagerCa);
  if (!tls::Inspect(ca)) {
    return Fail(Code::kFailedPrecondition,
                what +
                    ": expected a CA certificate under \"ca\" or \"ca.crt\"; run `certgen create` "
                    "first, or put the CA of your own certificate there");
  }
  std::string encoded = EncodeBase64(ca);
  for (auto [wanted, kind] : {std::pair(spec.mutating, "mutatingwebhookconfigurations"),
                              std::pair(spec.validating, "validatingwebhookconfigurations")}) {
    if (!wanted) continue;
    std::string path =
        "/apis/admissionregistration.k8s.io/v1/" + std::string(kind) + "/" + spec.webhook_name;
    auto done = WithRetries([&] { return PatchOnce(api, path, encoded, spec.failure_policy); });
    if (!done) return Fail(Explained(std::move(done).error(), kind + ("/" + spec.webhook_name)));
  }
  return {};
}

namespace {

struct Line {  // the command line
  std::string kubeconfig;
  SecretSpec secret;
  WebhookSpec webhook;
};

std::string_view OutcomeWord(SecretOutcome outcome) {
  switch (outcome) {
    case SecretOutcome::kCreated:
      return "created";
    case SecretOutcome::kKept:
      return "kept";
    case SecretOutcome::kRenewed:
      return "renewed";
  }
  return "";
}

void AddFlags(FlagSet& flags, Line& line) {
  constexpr char kOne[] = "this program writes one line per decision";
  FlagSet& create =
      flags.Command("create", "Create or renew the webhook's certificate in a Secret");
  create.Add("host", &line.secret.hosts, "hosts of the certificate: DNS names and IP addresses");
  create.Add("namespace", &line.secret.ns, "namespace of the Secret");
  create.Add("secret-name", &line.secret.name, "name of the Secret");
  create.Add("cert-name", &line.secret.cert_name, "key of the certificate in the Secret");
  create.Add("key-name", &line.secret.key_name, "key of the private key in the Secret");
  create.Add("validity", &line.secret.validity, "how long certificates are valid");
  create.Add("renew-before", &line.secret.renew_before,
             "renew a certificate that ends within this");

  FlagSet& patch = flags.Command("patch", "Write the Secret's CA into webhook configurations");
  patch.Add("webhook-name", &line.webhook.webhook_name, "name of the webhook configuration");
  patch.Add("namespace", &line.webhook.secret_ns, "namespace of the Secret");
  patch.Add("secret-name", &line.webhook.secret_name, "name of the Secret");
  patch.Add("patch-mutating", &line.webhook.mutating, "patch the MutatingWebhookConfiguration");
  patch.Add("patch-validating", &line.webhook.validating,
            "patch the ValidatingWebhookConfiguration");
  patch.Add("patch-failure-policy", &line.webhook.failure_policy,
            "also set failurePolicy: Fail or Ignore; empty leaves it");
  for (FlagSet* command : {&create, &patch}) {
    command->Add("kubeconfig", &line.kubeconfig,
                 "kubeconfig file; empty: $KUBECONFIG or the Pod's own");
    command->Accept("log-level", kOne);
    command->Accept("log-format", kOne);
  }
}

}  // namespace

Result<int> RunCertgen(int argc, const char* const* argv) {
  Line line;
  FlagSet flags("hami-scheduler certgen", "Certificates of the admission webhook.");
  AddFlags(flags, line);
  TRY_ASSIGN(FlagSet::Action action, flags.Parse(argc, argv));
  if (action == FlagSet::Action::kExit) return 0;
  if (flags.command().empty()) {
    return Fail(Code::kInvalidArgument, "certgen: expected a command: create or patch");
  }
  TRY_ASSIGN(kube::Config config, kube::LoadConfig(RealFileSystem(), line.kubeconfig));
  net::Loop loop;
  TRY_ASSIGN(auto client, kube::Client::Create(loop, std::move(config),
                                               {.user_agent = "hami-scheduler-certgen"}));
  ApiCall api = [&](kube::Request request) { return client->CallSync(std::move(request)); };
  if (flags.command() == "create") {
    TRY_ASSIGN(SecretOutcome outcome, EnsureSecret(api, line.secret, SystemClock()));
    LOG(kInfo, "secret is ready")
        .Kv("secret", line.secret.ns + "/" + line.secret.name)
        .Kv("outcome", OutcomeWord(outcome));
    return 0;
  }
  TRY(PatchWebhooks(api, line.webhook));
  LOG(kInfo, "webhook configuration is ready").Kv("name", line.webhook.webhook_name);
  return 0;
}

}  // namespace hami::admission

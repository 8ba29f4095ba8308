#include "platform/kube/config.h"

#include <string_view>

#include "base/base64.h"
#include "base/env.h"
#include "base/json.h"
#include "base/yaml.h"

namespace hami::kube {
namespace {

constexpr char kAccountDir[] = "/var/run/secrets/kubernetes.io/serviceaccount";

std::string Resolve(const std::string& path, const std::string& base_dir) {
  return path.empty() || path.front() == '/' || base_dir.empty() ? path : base_dir + "/" + path;
}

std::string Trim(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

// The entry called `name` in a kubeconfig list such as `clusters`; its body lies under `body_key`.
Result<const Json*> Named(const Json& root, std::string_view list, std::string_view body_key,
                          std::string_view name) {
  const Json* entries = Find(root, {list});
  if (entries != nullptr && entries->is_array()) {
    for (const Json& entry : entries->get_array()) {
      if (StringAt(entry, {"name"}) != name) continue;
      if (const Json* body = Find(entry, {body_key})) return body;
    }
  }
  std::string known;
  if (entries != nullptr && entries->is_array()) {
    for (const Json& entry : entries->get_array()) {
      known += (known.empty() ? "; there is " : ", ") + std::string(StringAt(entry, {"name"}));
    }
  }
  return Fail(Code::kInvalidArgument, std::string(list) + ": no entry called \"" +
                                          std::string(name) + "\" with a \"" +
                                          std::string(body_key) + "\"" + known);
}

// `<key>-data` (base64) wins over `<key>` (a path), as in client-go.
Result<std::string> DataOf(const Json& body, std::string_view key, const std::string& where) {
  std::string data_key = std::string(key) + "-data";
  std::string_view data = StringAt(body, {data_key});
  if (data.empty()) return std::string();
  auto decoded = DecodeBase64(data);
  if (!decoded) return Fail(std::move(decoded.error()).With(where + "." + data_key));
  return decoded;
}

Result<void> ReadCluster(FileSystem& fs, const Json& cluster, const std::string& where,
                         const std::string& base_dir, Config& out) {
  out.server = StringAt(cluster, {"server"});
  while (out.server.ends_with('/')) out.server.pop_back();
  if (out.server.empty()) {
    return Fail(Code::kInvalidArgument, where + ".server: missing, expected https://host:port");
  }
  if (!StringAt(cluster, {"proxy-url"}).empty()) {
    return Fail(Code::kUnimplemented, where + ".proxy-url: proxies are not supported");
  }
  out.server_name = StringAt(cluster, {"tls-server-name"});
  out.insecure_skip_verify = BoolAt(cluster, {"insecure-skip-tls-verify"}).value_or(false);
  TRY_ASSIGN(out.ca_pem, DataOf(cluster, "certificate-authority", where));
  std::string ca_file =
      Resolve(std::string(StringAt(cluster, {"certificate-authority"})), base_dir);
  if (out.ca_pem.empty() && !ca_file.empty()) {
    auto text = fs.Read(ca_file);
    if (!text) return Fail(std::move(text.error()).With(where + ".certificate-authority"));
    out.ca_pem = std::move(*text);
  }
  return {};
}

Result<void> ReadUser(const Json& user, const std::string& where, const std::string& base_dir,
                      Config& out) {
  for (std::string_view key : {"exec", "auth-provider", "username", "as"}) {
    if (Find(user, {key}) != nullptr) {
      return Fail(Code::kUnimplemented,
                  where + "." + std::string(key) +
                      ": not supported, expected a token, tokenFile or client certificate");
    }
  }
  out.token = StringAt(user, {"token"});
  out.token_file = Resolve(std::string(StringAt(user, {"tokenFile"})), base_dir);
  TRY_ASSIGN(out.client_cert_pem, DataOf(user, "client-certificate", where));
  TRY_ASSIGN(out.client_key_pem, DataOf(user, "client-key", where));
  if (out.client_cert_pem.empty()) {
    out.client_cert_file = Resolve(std::string(StringAt(user, {"client-certificate"})), base_dir);
  }
  if (out.client_key_pem.empty()) {
    out.client_key_file = Resolve(std::string(StringAt(user, {"client-key"})), base_dir);
  }
  bool has_cert = !out.client_cert_pem.empty() || !out.client_cert_file.empty();
  bool has_key = !out.client_key_pem.empty() || !out.client_key_file.empty();
  if (has_cert != has_key) {
    return Fail(Code::kInvalidArgument,
                where + ": client-certificate and client-key must be given together");
  }
  return {};
}

Result<Config> LoadFile(FileSystem& fs, const std::string& path, const std::string& context) {
  TRY_ASSIGN(std::string text, fs.Read(path));
  size_t slash = path.rfind('/');
  std::string base_dir = slash == std::string::npos ? "." : path.substr(0, slash);
  auto config = ParseKubeconfig(fs, text, base_dir, context);
  if (!config) return Fail(std::move(config.error()).With("kubeconfig " + path));
  return config;
}

}  // namespace

Result<Config> ParseKubeconfig(FileSystem& fs, std::string_view yaml, const std::string& base_dir,
                               std::string context) {
  TRY_ASSIGN(Json root, ParseYaml(yaml));
  if (context.empty()) context = StringAt(root, {"current-context"});
  if (context.empty()) {
    return Fail(Code::kInvalidArgument, "current-context: missing, expected the name of a context");
  }
  TRY_ASSIGN(const Json* chosen, Named(root, "contexts", "context", context));
  std::string cluster_name(StringAt(*chosen, {"cluster"}));
  std::string user_name(StringAt(*chosen, {"user"}));
  Config out;
  out.ns = StringAt(*chosen, {"namespace"});
  if (out.ns.empty()) out.ns = "default";
  TRY_ASSIGN(const Json* cluster, Named(root, "clusters", "cluster", cluster_name));
  TRY(ReadCluster(fs, *cluster, "clusters[" + cluster_name + "]", base_dir, out));
  if (!user_name.empty()) {
    TRY_ASSIGN(const Json* user, Named(root, "users", "user", user_name));
    TRY(ReadUser(*user, "users[" + user_name + "]", base_dir, out));
  }
  return out;
}

Result<Config> InClusterConfig(FileSystem& fs, const std::string& host, const std::string& port,
                               const std::string& account_dir) {
  Config out;
  out.server =
      "https://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
  auto ca = fs.Read(account_dir + "/ca.crt");
  if (!ca) return Fail(std::move(ca.error()).With("in-cluster CA"));
  out.ca_pem = std::move(*ca);
  out.token_file = account_dir + "/token";
  if (!fs.Exists(out.token_file)) {
    return Fail(Code::kNotFound, "in-cluster token " + out.token_file + ": no such file");
  }
  auto ns = fs.Read(account_dir + "/namespace");
  out.ns = ns ? Trim(std::move(*ns)) : "default";
  return out;
}

Result<Config> LoadConfig(FileSystem& fs, const std::string& explicit_path,
                          const std::string& context) {
  if (!explicit_path.empty()) {
    auto config = LoadFile(fs, explicit_path, context);
    if (!config) return Fail(std::move(config).error().With("flag --kubeconfig"));
    return config;
  }
  std::string list = GetEnvOr("KUBECONFIG", "");
  for (size_t at = 0; at < list.size();) {
    size_t end = std::min(list.find(':', at), list.size());
    std::string path = list.substr(at, end - at);
    if (!path.empty() && fs.Exists(path)) return LoadFile(fs, path, context);
    at = end + 1;
  }
  if (!list.empty()) {
    return Fail(Code::kNotFound, "KUBECONFIG=" + list + ": no such file");
  }
  std::string home = GetEnvOr("HOME", "");
  if (!home.empty() && fs.Exists(home + "/.kube/config")) {
    return LoadFile(fs, home + "/.kube/config", context);
  }
  std::string host = GetEnvOr("KUBERNETES_SERVICE_HOST", "");
  std::string port = GetEnvOr("KUBERNETES_SERVICE_PORT", "");
  if (host.empty() || port.empty()) {
    return Fail(Code::kNotFound,
                "no cluster configured: expected the flag --kubeconfig, the variable KUBECONFIG, " +
                    home + "/.kube/config or a Pod's service account");
  }
  if (!context.empty()) {
    return Fail(Code::kNotFound, "context \"" + context +
                                     "\": no kubeconfig file, and a Pod's service account knows no "
                                     "contexts");
  }
  return InClusterConfig(fs, host, port, kAccountDir);
}

}  // namespace hami::kube

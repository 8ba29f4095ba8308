// Where the API server is and how to prove who we are. Values; Load reads files.
#pragma once

#include <string>

#include "base/fs.h"
#include "base/result.h"

namespace hami::kube {

// PEM texts are inline; a file path is used instead when the material rotates on disk.
struct Config {
  std::string server;            // https://host:port, no trailing slash
  std::string ca_pem;            // "": the system's roots
  std::string client_cert_file;  // re-read when it changes
  std::string client_key_file;
  std::string client_cert_pem;
  std::string client_key_pem;
  std::string token;       // static
  std::string token_file;  // re-read at most 60 s after it changes
  std::string ns;          // default namespace
  bool insecure_skip_verify = false;
  std::string server_name;  // TLS name to expect, "" = host of server
};

// $KUBECONFIG (the first file of its list that exists), else $HOME/.kube/config, else the Pod's
// service account, which knows no contexts. `explicit_path` wins over all. Errors name the file,
// the key path and what was expected.
Result<Config> LoadConfig(FileSystem& fs, const std::string& explicit_path = "",
                          const std::string& context = "");
// Relative paths inside are taken from `base_dir`. `context`: "" = current-context.
Result<Config> ParseKubeconfig(FileSystem& fs, std::string_view yaml, const std::string& base_dir,
                               std::string context = "");
// From a projected service account folder and the address in the environment.
Result<Config> InClusterConfig(FileSystem& fs, const std::string& host, const std::string& port,
                               const std::string& account_dir);

}  // namespace hami::kube

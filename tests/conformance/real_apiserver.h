// RealApiServer: etcd and kube-apiserver of the testbed's cache, started for one test binary on
// loopback.
//
// Own temporary folder, own free ports, TLS with certificates made on the spot. The destructor ends
// both processes and removes the folder; they end as well when this process dies.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/kube/config.h"
#include "platform/net/test_certs.h"

namespace hami::conformance {

class RealApiServer {
 public:
  // kNotFound when the programs are not in the cache (testbed/programs/build makes them).
  static Result<std::unique_ptr<RealApiServer>> Start();
  ~RealApiServer();

  kube::Config config() const;           // by token
  kube::Config config_by_certificate();  // by a client certificate in files
  // kill -9 of kube-apiserver; etcd stays.
  void Kill();
  // Until /readyz answers 200. Errors: kUnavailable with the end of its log.
  Result<void> Launch();

 private:
  RealApiServer() = default;
  Result<void> Prepare();
  Result<pid_t> Spawn(const std::string& program, const std::vector<std::string>& arguments);

  std::string bin_;
  std::string dir_;
  net::TestCa ca_{"conformance CA"};
  int etcd_port_ = 0;
  int etcd_peer_port_ = 0;
  int port_ = 0;
  pid_t etcd_ = -1;
  pid_t apiserver_ = -1;
};

}  // namespace hami::conformance

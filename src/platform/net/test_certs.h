// Certificates for tests: a CA and leafs, P-256, made on the spot. Tests only.
#pragma once

#include <string>
#include <vector>

namespace hami::net {

struct CertPair {
  std::string cert_pem;
  std::string key_pem;
};

class TestCa {
 public:
  explicit TestCa(const std::string& name = "test CA");
  const std::string& cert_pem() const { return pair_.cert_pem; }
  // `names`: DNS names or IP addresses. `days`: from now; negative: expired.
  CertPair Issue(const std::string& common_name, const std::vector<std::string>& names,
                 int days = 30) const;

 private:
  CertPair pair_;
};

}  // namespace hami::net

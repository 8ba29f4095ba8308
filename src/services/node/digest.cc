#include "services/node/digest.h"

#include <openssl/evp.h>

#include <array>

#include "base/result.h"

namespace hami::node {

std::string Sha256Hex(std::string_view data) {
  std::array<unsigned char, 32> digest = {};
  unsigned size = 0;
  CHECK(EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  std::string hex;
  for (unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

std::string StableUuid(std::string_view data) {
  std::string hex = Sha256Hex(data);
  hex[12] = '8';  // version: vendor specific
  hex[16] = "89ab"[static_cast<size_t>(hex[16]) & 3];
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20, 12);
}

}  // namespace hami::node

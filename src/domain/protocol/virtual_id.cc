#include "domain/protocol/virtual_id.h"

#include <algorithm>

namespace hami::protocol {

std::string VirtualId(std::string_view uuid, int k) {
  return std::string(uuid) + "-" + std::to_string(k);
}

std::string_view CardOfVirtualId(std::string_view id) {
  if (size_t cut = id.find("::"); cut != std::string_view::npos) return id.substr(0, cut);
  if (std::ranges::count(id, '-') != 6) return id;
  size_t dash = id.rfind('-');
  std::string_view number = id.substr(dash + 1);
  bool digits = !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
  return digits ? id.substr(0, dash) : id;
}

}  // namespace hami::protocol

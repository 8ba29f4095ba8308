#include "domain/model/pod.h"

#include <algorithm>

namespace hami {
namespace {

const std::string& ValueOr(const std::map<std::string, std::string, std::less<>>& map,
                           std::string_view name) {
  static const std::string kEmpty;
  auto it = map.find(name);
  return it == map.end() ? kEmpty : it->second;
}

}  // namespace

const std::string& Pod::Annotation(std::string_view name) const {
  return ValueOr(annotations, name);
}

bool Pod::Finished() const {
  if (phase == "Succeeded" || phase == "Failed") return true;
  if (containers.empty()) return false;
  return std::all_of(containers.begin(), containers.end(),
                     [](const Container& c) { return c.terminated; });
}

const std::string& Node::Annotation(std::string_view key) const {
  return ValueOr(annotations, key);
}

}  // namespace hami

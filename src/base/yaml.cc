#include "base/yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace hami {
namespace {

constexpr size_t kMaxText = 4 << 20;
constexpr int kMaxDepth = 64;
constexpr int kMaxNodes = 200'000;

std::string Place(const YAML::Mark& mark) {
  return "YAML line " + std::to_string(mark.line + 1) + " column " +
         std::to_string(mark.column + 1);
}

template <class T>
bool ParseWhole(std::string_view s, T& value) {
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), value);
  return ec == std::errc() && end == s.data() + s.size();
}

Json Scalar(const YAML::Node& node) {
  const std::string& s = node.Scalar();
  if (node.Tag() == "!") return Json(s);  // quoted
  if (s == "null" || s == "~" || s.empty() || s == "Null" || s == "NULL") return nullptr;
  if (s == "true" || s == "True" || s == "TRUE") return true;
  if (s == "false" || s == "False" || s == "FALSE") return false;
  std::string_view digits = s;
  if (digits.size() > 1 && digits[0] == '+') digits.remove_prefix(1);
  int64_t integer = 0;
  if (ParseWhole(digits, integer)) return integer;
  double number = 0;
  bool numeric =
      !digits.empty() && digits.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
  if (numeric && ParseWhole(digits, number)) return number;
  return Json(s);
}

class Converter {
 public:
  Result<Json> Convert(const YAML::Node& node, int depth) {
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) {
      return Fail(Code::kInvalidArgument, Place(node.Mark()) + ": too deep or too large");
    }
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return Json(nullptr);
      case YAML::NodeType::Scalar:
        return Scalar(node);
      case YAML::NodeType::Sequence:
        return Sequence(node, depth);
      case YAML::NodeType::Map:
        return Map(node, depth);
    }
    return Json(nullptr);
  }

 private:
  Result<Json> Sequence(const YAML::Node& node, int depth) {
    boost::json::array out;
    for (const auto& item : node) {
      TRY_ASSIGN(auto value, Convert(item, depth + 1));
      out.push_back(std::move(value));
    }
    return Json(std::move(out));
  }

  Result<Json> Map(const YAML::Node& node, int depth) {
    boost::json::object out;
    for (const auto& item : node) {
      if (!item.first.IsScalar()) {
        return Fail(Code::kInvalidArgument, Place(item.first.Mark()) + ": key is not a scalar");
      }
      TRY_ASSIGN(auto value, Convert(item.second, depth + 1));
      if (!out.emplace(item.first.Scalar(), std::move(value)).second) {
        return Fail(Code::kInvalidArgument, Place(item.first.Mark()) + ": key \"" +
                                                item.first.Scalar() + "\" is given twice");
      }
    }
    return Json(std::move(out));
  }

  int nodes_ = 0;
};

// yaml-cpp recurses while it parses: refuse what would exhaust the stack before it starts.
bool NestsTooDeep(std::string_view text) {
  int flow = 0;
  for (char c : text) {
    if (c == '[' || c == '{') {
      if (++flow > 1000) return true;
    } else if ((c == ']' || c == '}') && flow > 0) {
      --flow;
    }
  }
  return text.find("- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -") !=
         std::string_view::npos;
}

}  // namespace

Result<Json> ParseYaml(std::string_view text) {
  if (text.size() > kMaxText) {
    return Fail(Code::kInvalidArgument, "YAML text of " + std::to_string(text.size()) +
                                            " bytes: expected at most " + std::to_string(kMaxText));
  }
  if (NestsTooDeep(text)) return Fail(Code::kInvalidArgument, "YAML text nests too deep");
  try {
    return Converter().Convert(YAML::Load(std::string(text)), 0);
  } catch (const YAML::Exception& e) {
    return Fail(Code::kInvalidArgument, Place(e.mark) + ": " + e.msg);
  }
}

}  // namespace hami

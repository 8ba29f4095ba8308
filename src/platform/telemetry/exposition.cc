#include "platform/telemetry/exposition.h"

#include <charconv>
#include <cmath>
#include <vector>

namespace hami::telemetry {
namespace {

void AppendLabel(std::string& out, const Label& label) {
  if (!out.empty() && out.back() != '{') out += ',';
  out += label.first;
  out += "=\"";
  for (char c : label.second) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '"': out += "\\\""; break;
      case '\n': out += "\\n"; break;
      default: out += c;
    }
  }
  out += '"';
}

void AppendNumber(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char text[64];
    bool whole = std::trunc(value) == value && std::fabs(value) < 1e15;
    auto r = whole ? std::to_chars(text, text + sizeof text, static_cast<int64_t>(value))
                   : std::to_chars(text, text + sizeof text, value);
    out.append(text, r.ptr);
  }
}

}  // namespace

void Exposition::Constant(std::initializer_list<Label> labels) {
  constant_.clear();
  for (const Label& label : labels) AppendLabel(constant_, label);
}

void Exposition::Family(std::string_view name, std::string_view type, std::string_view help) {
  family_ = name;
  out_ += "# HELP ";
  out_ += name;
  out_ += ' ';
  out_ += help;
  out_ += "\n# TYPE ";
  out_ += name;
  out_ += ' ';
  out_ += type;
  out_ += '\n';
}

void Exposition::SampleOf(std::string_view suffix, std::span<const Label> labels, double value) {
  out_ += family_;
  out_ += suffix;
  if (!labels.empty() || !constant_.empty()) {
    out_ += '{';
    for (const Label& label : labels) AppendLabel(out_, label);
    if (!constant_.empty()) {
      if (!labels.empty()) out_ += ',';
      out_ += constant_;
    }
    out_ += '}';
  }
  out_ += ' ';
  AppendNumber(out_, value);
  out_ += '\n';
}

void Exposition::Histogram(std::initializer_list<Label> labels, std::span<const double> bounds,
                           std::span<const uint64_t> cumulative, double sum, uint64_t count) {
  std::vector<Label> with(labels);
  with.emplace_back("le", "");
  for (size_t i = 0; i < bounds.size(); ++i) {
    std::string bound;
    AppendNumber(bound, bounds[i]);
    with.back().second = bound;
    SampleOf("_bucket", with, static_cast<double>(cumulative[i]));
  }
  with.back().second = "+Inf";
  SampleOf("_bucket", with, static_cast<double>(count));
  with.pop_back();
  SampleOf("_sum", with, sum);
  SampleOf("_count", with, static_cast<double>(count));
}

}  // namespace hami::telemetry

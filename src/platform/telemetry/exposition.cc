#include "platform/telemetry/exposition.h"

#include <charconv>
#include <cmath>

namespace hami::telemetry {
namespace {

void AppendEscaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void AppendLabel(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty() && out.back() != '{') out += ',';
  out += name;
  out += "=\"";
  AppendEscaped(out, value, true);
  out += '"';
}

void AppendValue(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char text[40];
    bool whole = std::trunc(value) == value && std::fabs(value) < 1e15;
    char* end = whole ? std::to_chars(text, text + sizeof text, static_cast<int64_t>(value)).ptr
                      : std::to_chars(text, text + sizeof text, value).ptr;
    out.append(text, end);
  }
}

std::string_view TypeName(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "untyped";
}

}  // namespace

std::string FormatValue(double value) {
  std::string out;
  AppendValue(out, value);
  return out;
}

Exposition::Exposition(OwnedLabels constant) {
  for (const auto& [name, value] : constant) AppendLabel(constant_, name, value);
}

void Exposition::Family(std::string_view name, std::string_view help, MetricType type) {
  family_ = name;
  out_ += "# HELP ";
  out_ += name;
  out_ += ' ';
  AppendEscaped(out_, help, false);
  out_ += "\n# TYPE ";
  out_ += name;
  out_ += ' ';
  out_ += TypeName(type);
  out_ += '\n';
}

void Exposition::Sample(std::string_view suffix, std::span<const Label> labels, double value) {
  Write(suffix, labels, constant_, value);
}

void Exposition::BareSample(std::span<const Label> labels, double value) {
  Write("", labels, "", value);
}

void Exposition::Write(std::string_view suffix, std::span<const Label> labels,
                       std::string_view constant, double value) {
  out_ += family_;
  out_ += suffix;
  if (!labels.empty() || !constant.empty()) {
    out_ += '{';
    for (const Label& label : labels) AppendLabel(out_, label.name, label.value);
    if (!labels.empty() && !constant.empty()) out_ += ',';
    out_ += constant;
    out_ += '}';
  }
  out_ += ' ';
  AppendValue(out_, value);
  out_ += '\n';
}

}  // namespace hami::telemetry

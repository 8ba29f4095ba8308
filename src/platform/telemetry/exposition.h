// Exposition: the Prometheus text format 0.0.4, written sample by sample.
//
// A value with state, one thread. Large families (one series per card or container) are written
// straight from a snapshot during the scrape: nothing is copied or kept per series.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hami::telemetry {

enum class MetricType : uint8_t { kCounter, kGauge, kHistogram };

struct Label {
  std::string_view name;
  std::string_view value;
};

inline constexpr char kTextContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// "85000000000", "0.25", "+Inf": as samples and bucket bounds are written.
std::string FormatValue(double value);

class Exposition {
 public:
  // `constant`: labels that every sample carries, behind its own.
  using OwnedLabels = std::vector<std::pair<std::string, std::string>>;
  explicit Exposition(OwnedLabels constant = {});

  // Begins a family: HELP and TYPE lines. Its samples must follow before the next family; a family
  // is begun once.
  void Family(std::string_view name, std::string_view help, MetricType type);
  void Sample(std::span<const Label> labels, double value) { Sample("", labels, value); }
  void Sample(std::initializer_list<Label> labels, double value) {
    Sample("", std::span(labels.begin(), labels.size()), value);
  }
  // `suffix`: "_bucket", "_sum", "_count" of histograms.
  void Sample(std::string_view suffix, std::span<const Label> labels, double value);
  // Without the constant labels (build info).
  void BareSample(std::span<const Label> labels, double value);

  const std::string& text() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  void Write(std::string_view suffix, std::span<const Label> labels, std::string_view constant,
             double value);
  std::string constant_;  // rendered
  std::string family_;
  std::string out_;
};

}  // namespace hami::telemetry

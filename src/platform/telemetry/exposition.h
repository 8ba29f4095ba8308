// Exposition: metrics as Prometheus reads them (text format 0.0.4), written straight into one string.
//
// Families are written one after the other, so that 280,000 series need no registry and no copies
// (design.md decision 18). Not thread-safe: one writer, one answer.
//
//   Exposition out({{"zone", "vGPU"}});
//   out.Family(kGpuMemoryLimit, "gauge", "registered memory");
//   out.Sample({{"node", n}, {"device_uuid", id}}, bytes);
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace hami::telemetry {

using Label = std::pair<std::string_view, std::string_view>;

class Exposition {
 public:
  // Labels that every sample carries, until the next Constant().
  Exposition() = default;
  explicit Exposition(std::initializer_list<Label> constant) { Constant(constant); }
  void Constant(std::initializer_list<Label> labels);

  // Starts a family: the lines # HELP and # TYPE.
  void Family(std::string_view name, std::string_view type, std::string_view help);
  void Sample(std::initializer_list<Label> labels, double value) {
    SampleOf("", {labels.begin(), labels.size()}, value);
  }
  // A whole histogram: cumulative counts per upper bound, then the sum and the number of observations.
  void Histogram(std::initializer_list<Label> labels, std::span<const double> bounds,
                 std::span<const uint64_t> cumulative, double sum, uint64_t count);

  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  std::string Take() { return std::move(out_); }

 private:
  void SampleOf(std::string_view suffix, std::span<const Label> labels, double value);

  std::string out_;
  std::string constant_;  // `zone="vGPU"`, ready to write
  std::string family_;
};

}  // namespace hami::telemetry

// LineAssembler: wherever the stream is cut, the lines are those of the whole text.
#include <vector>

#include "fuzz/fuzz.h"
#include "platform/kube/line_assembler.h"

namespace {

constexpr size_t kMaxLine = 64;

struct Lines {
  bool ok = true;
  std::vector<std::string> lines;
  bool operator==(const Lines&) const = default;
};

// Slow and plain.
Lines Expected(std::string_view text) {
  Lines out;
  for (;;) {
    const size_t end = text.find('\n');
    std::string line(text.substr(0, end));
    if (line.size() > kMaxLine) return out.ok = false, out;
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) out.lines.push_back(line);
  }
}

}  // namespace

FUZZ_TARGET(text) {
  FuzzedDataProvider input(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  hami::kube::LineAssembler assembler(kMaxLine);
  Lines got;
  std::string whole;
  while (input.remaining_bytes() > 0 && got.ok) {
    const size_t size = input.ConsumeIntegralInRange<size_t>(0, 40);
    const std::string piece = input.ConsumeBytesAsString(size);
    whole += piece;
    got.ok = assembler.Feed(piece, [&got](std::string line) { got.lines.push_back(line); });
    FUZZ_CHECK(!got.ok || assembler.pending_bytes() <= kMaxLine);
  }
  FUZZ_CHECK(got == Expected(whole));
}

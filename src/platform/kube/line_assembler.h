// LineAssembler: the lines of a watch from pieces that are cut anywhere. A value; one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace hami::kube {

class LineAssembler {
 public:
  // `max_line`: bytes; a longer line fails the stream.
  explicit LineAssembler(size_t max_line) : max_line_(max_line) {}

  // Calls visit(std::string line) for every line completed by `piece`, without its newline; empty
  // lines are skipped. False when a line is too long. What stays incomplete is kept for the next
  // piece.
  template <class Visit>
  bool Feed(std::string_view piece, Visit&& visit) {
    for (;;) {
      size_t newline = piece.find('\n');
      if (newline == std::string_view::npos) {
        partial_ += piece;
        return partial_.size() <= max_line_;
      }
      partial_ += piece.substr(0, newline);
      piece.remove_prefix(newline + 1);
      if (partial_.size() > max_line_) return false;
      std::string line = std::exchange(partial_, {});
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) visit(std::move(line));
    }
  }
  void Reset() { partial_.clear(); }
  size_t pending_bytes() const { return partial_.size(); }

 private:
  size_t max_line_;
  std::string partial_;
};

}  // namespace hami::kube

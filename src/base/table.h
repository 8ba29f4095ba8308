// Table: aligned columns for terminals. Plain text, no colour: it reads the same in a pipe.
//
// Values; no threads. Widths count code points, not bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hami {

class Table {
 public:
  explicit Table(std::vector<std::string> header) { Row(std::move(header)); }
  // Cells are made printable (base/printable.h). Short rows are padded with blanks; an empty cell
  // shows as "-" below the header.
  void Row(std::vector<std::string> cells);
  // Two blanks between columns, nothing behind the last; each line starts with `indent`.
  std::string Text(std::string_view indent = "") const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace hami

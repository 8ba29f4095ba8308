// The core limit's table: a line per cell, as people read it and as a run that goes on reads it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/limiter/core_cell.h"

namespace hami::limiter::testing {

struct Row {
  Cell cell;
  // Percent that the same programs have without the library; nothing where it does not matter.
  std::optional<double> reach;
  Figures figures;
  double load = 0;  // of the machine

  double limit() const { return std::stod(cell[0]); }
  // The smaller of the limit and what is within reach.
  double aim() const;
  // Points above the limit, negative below it.
  double above() const { return figures.share - limit(); }
  // Points off the aim, or above the limit. More than the program reached without the library at
  // another time is the machine's doing.
  double error() const;
  // The seconds by themselves: points of the one that is farthest off, with its sign.
  double window() const;
};

std::string Heading();
std::string LineOf(const Row& row);
// Nothing for a line that is not a row.
std::optional<Row> RowOf(const std::string& line);

// Rows by cell. With a file every row is also a line there, and a table of the same file has it.
class Table {
 public:
  // `path` may be empty. Exits with 2 where the file cannot be written.
  explicit Table(const std::string& path);
  bool Has(const Cell& cell) const { return rows_.count(cell) != 0; }
  void Add(const Row& row);
  const std::map<Cell, Row>& rows() const { return rows_; }

 private:
  std::string path_;
  std::map<Cell, Row> rows_;
};

// Of all rows: numbers, and a sentence of them.
struct Summary {
  explicit Summary(const Table& table);
  std::string Text() const;

  size_t cells = 0, beyond_1 = 0, beyond_2 = 0;    // cells that are off by more points than that
  size_t windows_beyond_5 = 0;                     // cells with a second that is
  double mean = 0, worst = 0, above = 0;           // points; `above` a limit at most
  double window = 0, helper = 0, helper_mean = 0;  // points; percent of a processor
};

}  // namespace hami::limiter::testing

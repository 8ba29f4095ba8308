#include "tests/limiter/core_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace hami::limiter::testing {
namespace {

template <class... Types>
std::string Format(const char* format, Types... values) {
  char text[320];
  snprintf(text, sizeof text, format, values...);
  return text;
}

}  // namespace

double Row::aim() const { return std::min(limit(), reach.value_or(100)); }

double Row::error() const { return above() > 0 ? above() : std::min(0.0, figures.share - aim()); }

double Row::window() const {
  const double high = std::max(0.0, figures.most - limit());
  const double low = std::min(0.0, figures.least - aim());
  return high > -low ? high : low;
}

std::string Heading() {
  return Format("%5s %6s %8s %5s %10s | %7s %7s %7s | %7s %7s | %6s %6s %6s\n", "limit", "kernel",
                "pattern", "procs", "neighbours", "reach", "share", "error", "least", "most", "cpu",
                "helper", "load");
}

std::string LineOf(const Row& row) {
  const Cell& c = row.cell;
  const Figures& f = row.figures;
  const std::string reach = row.reach ? Format("%.2f", *row.reach) : "-";
  return Format("%5s %6s %8s %5s %10s | %7s %7.2f %+7.2f | %7.2f %7.2f | %6.1f %6.2f %6.1f\n",
                c[0].c_str(), c[1].c_str(), c[2].c_str(), c[3].c_str(), c[4].c_str(), reach.c_str(),
                f.share, row.error(), f.least, f.most, f.cpu, f.helper, row.load);
}

std::optional<Row> RowOf(const std::string& line) {
  Row row;
  row.cell.resize(5);
  std::string reach, error, bar;
  std::istringstream in(line);
  for (std::string& word : row.cell) in >> word;
  in >> bar >> reach >> row.figures.share >> error >> bar >> row.figures.least >>
      row.figures.most >> bar >> row.figures.cpu >> row.figures.helper >> row.load;
  if (in.fail()) return {};
  if (reach != "-") row.reach = std::stod(reach);
  return row;
}

Table::Table(const std::string& path) : path_(path) {
  if (path_.empty()) return;
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line);) {
    if (const auto row = RowOf(line)) rows_[row->cell] = *row;
  }
  if (std::ofstream(path_, std::ios::app)) return;
  fprintf(stderr, "core_matrix: cannot write the table %s\n", path_.c_str());
  exit(2);
}

void Table::Add(const Row& row) {
  rows_[row.cell] = row;
  if (!path_.empty()) std::ofstream(path_, std::ios::app) << LineOf(row) << std::flush;
}

Summary::Summary(const Table& table) : cells(table.rows().size()) {
  for (const auto& [cell, row] : table.rows()) {
    const double error = std::abs(row.error());
    mean += error / static_cast<double>(cells);
    helper_mean += row.figures.helper / static_cast<double>(cells);
    worst = std::max(worst, error);
    above = std::max(above, row.above());
    window = std::max(window, std::abs(row.window()));
    helper = std::max(helper, row.figures.helper);
    if (error > 1) ++beyond_1;
    if (error > 2) ++beyond_2;
    if (std::abs(row.window()) > 5) ++windows_beyond_5;
  }
}

std::string Summary::Text() const {
  return Format(
             "%zu cells: mean error %.2f, worst %.2f (%zu beyond 1, %zu beyond 2), highest above "
             "a limit %.2f points\n",
             cells, mean, worst, beyond_1, beyond_2, above) +
         Format(
             "single seconds: worst %.1f points off (%zu cells beyond 5); helper: mean %.2f, "
             "most %.2f %% of a processor\n",
             window, windows_beyond_5, helper_mean, helper);
}

}  // namespace hami::limiter::testing

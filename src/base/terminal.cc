#include "base/terminal.h"

#include <unistd.h>

#include <cstdio>

namespace hami {

bool WriteOut(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

void WriteError(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

bool OutIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

}  // namespace hami

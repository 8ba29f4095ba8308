// Standard output of command-line tools: the only place that prints for people. Main thread.
#pragma once

#include <string_view>

namespace hami {

// Writes the whole text. False when the reader has gone (a closed pipe): stop and leave quietly.
bool WriteOut(std::string_view text);
void WriteError(std::string_view text);
bool OutIsTerminal();

}  // namespace hami

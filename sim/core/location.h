// Where a simulated library finds its files (sim/README.md, "Where things are found").
// Computed once per process by its owner (Machine); pure apart from looking at files that exist.
#pragma once

#include <climits>

#include "sim/core/cards.h"

namespace hami::sim {

struct Location {
  char config[PATH_MAX] = "";  // empty: no cards.yaml anywhere
  char state[PATH_MAX] = "";
  char devices[PATH_MAX] = "";       // folder of the device nodes; empty: every card is visible
  char searched[PATH_MAX * 2] = "";  // for the message when there is no cards.yaml
};

// library_path: path of the shared library, or empty for a tool, which has no root of its own.
void FindFiles(const char* library_path, Location& location);

// Path of the shared object that holds the address, symbolic links resolved; empty if unknown.
void PathOfObject(const void* address, char (&path)[PATH_MAX]);

// Whether the device node of the card can be opened from here.
bool IsVisible(const Location& location, const Card& card);

}  // namespace hami::sim

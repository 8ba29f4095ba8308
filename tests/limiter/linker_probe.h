// The probe's questions to the dynamic linker. One thread but where it says otherwise.
#pragma once

#include <string>
#include <vector>

// find <default|next|main|library> <name> [version]: object and whether dlerror has something to
// say.
std::string Find(const std::vector<std::string>& arguments);
// closed <library> <name>: the same with a handle that has been closed again.
std::string FindInClosed(const std::vector<std::string>& arguments);
// global <library>: loads it for everybody.
std::string LoadGlobally(const std::vector<std::string>& arguments);
// ask <next|default> <name>: what a second interposer is told.
std::string AskInterposer(const std::vector<std::string>& arguments);
// threads <count>: that many threads look the same names up at the same time; how many were told
// something else than the first one.
std::string FindInThreads(const std::vector<std::string>& arguments);

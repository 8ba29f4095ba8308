// How the probe's parts call the driver: by name, found with dlopen and dlsym, as programs do.
#pragma once

#include <time.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

using Args = std::vector<std::string>;

void* Symbol(const std::string& name);

template <class... Types>
int Call(const std::string& name, Types... arguments) {
  const auto function = reinterpret_cast<int (*)(Types...)>(Symbol(name));
  return function == nullptr ? -1000 : function(arguments...);
}

inline uint64_t Number(const std::string& text) { return strtoull(text.c_str(), nullptr, 0); }

inline std::string Answer(int result) { return std::to_string(result); }
inline std::string Answer(int result, uint64_t value) {
  return std::to_string(result) + " " + std::to_string(value);
}

inline double Since(const timespec& start) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec - start.tv_sec) +
         static_cast<double>(now.tv_nsec - start.tv_nsec) / 1e9;
}

template <class... Types>
std::string Made(const char* name, Types... arguments) {
  unsigned long long value = 0;
  const int result = Call(name, &value, arguments...);
  return Answer(result, value);
}

// Runs one command line of the probe's.
std::string Execute(const std::string& line);

// The probe's less usual ways of asking a driver: older forms, NULL pointers, look-ups of look-ups.
#pragma once

#include <string>
#include <vector>

// lookup1 <symbol> <version> <flags>: by the form of cuGetProcAddress that CUDA 11.3 introduced.
// lookupby <own version> <symbol> <version> <flags>: by the cuGetProcAddress that the driver gives
//   to a program of that version.
// info1, total1 <device>: the forms of CUDA 3.1; infofree, infototal: the other pointer is NULL.
// totalnull <device>, nvmlnull <card>: no place for the answer.
// copymem: a copy and a fill, and memory taken and given back, but no launch.
// fill <path>: a file that takes what the disk has left, in MiB.
// Empty: none of these.
std::string View(const std::vector<std::string>& arguments);

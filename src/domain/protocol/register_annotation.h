// Register annotation: the cards of a node, as its plugin writes them (spec/protocol.md 2.1).
//
// Two forms: J (JSON array) and C (CSV, older). Both are read for every vendor; which one is
// written is the vendor's. Pure, any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model/device.h"

namespace hami::protocol {

// Errors: kNotFound when the text is well-formed and lists no card; kInvalidArgument otherwise,
// naming card, field, value and expectation. An absent health means unhealthy. A card whose id
// cannot be used in an allocation string, or that appears twice, is an error.
Result<std::vector<Device>> DecodeRegister(std::string_view text);

// Byte-exact: keys in the order of the table, zero and empty values left out, Go's escaping.
std::string EncodeRegisterJson(std::span<const Device> devices);
// Nine fields per card, each card closed by ":".
std::string EncodeRegisterCsv(std::span<const Device> devices);

// hami.io/node-nvidia-score: link scores between the given cards, row-major devices x devices; 0
// where the text says nothing. Errors: kInvalidArgument (callers go on without scores).
Result<std::vector<int32_t>> DecodePairScores(std::string_view text,
                                              std::span<const Device> devices);
// Pairs in the order of `devices`; a card's score with itself is left out.
std::string EncodePairScores(std::span<const Device> devices, std::span<const int32_t> scores);

}  // namespace hami::protocol

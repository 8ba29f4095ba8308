// Base64 (RFC 4648, standard alphabet, padded): Secrets, kubeconfig, JSON patches. Values, no
// threads.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hami {

std::string EncodeBase64(std::string_view bytes);
// Line breaks and spaces are skipped, as kubeconfig files wrap long values; padding may be missing.
// Errors: kInvalidArgument with the byte offset.
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace hami

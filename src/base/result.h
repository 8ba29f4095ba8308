// Result and Error: how every function of ours reports failure.
//
// Values, cheap to move, no threads. Exceptions never cross a folder boundary; code that must call
// a throwing library converts at once. The code is for programs, the message for people: lower-case
// start, no trailing period, naming the object, the value and what was expected.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace hami {

enum class Code : uint8_t {
  kInvalidArgument,
  kNotFound,
  kAlreadyExists,
  kConflict,
  kResourceExhausted,
  kUnavailable,
  kDeadlineExceeded,
  kPermissionDenied,
  kUnauthenticated,
  kFailedPrecondition,
  kDataLoss,
  kUnimplemented,
  kCancelled,
  kInternal,
};

// "invalid_argument", ...: for logs and metrics.
std::string_view CodeName(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;

  // True when the same call may succeed later without a change by the caller.
  bool Retriable() const {
    return code == Code::kUnavailable || code == Code::kDeadlineExceeded || code == Code::kConflict;
  }
  // Prefixes the message: "reserve pod a/b: device GPU-1: ...".
  Error&& With(std::string_view context) && {
    message.insert(0, ": ");
    message.insert(0, context);
    return std::move(*this);
  }
  bool operator==(const Error&) const = default;
};

template <class T>
using Result = tl::expected<T, Error>;

// return Fail(Code::kNotFound, "node n1 is unknown");
inline tl::unexpected<Error> Fail(Code code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// Programming errors only: prints the place and aborts (a service's restart is the recovery).
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);

}  // namespace hami

#define HAMI_CONCAT_INNER(a, b) a##b
#define HAMI_CONCAT(a, b) HAMI_CONCAT_INNER(a, b)

// Returns the error of `expr` (a Result) from the enclosing function.
#define TRY(expr)                                              \
  do {                                                         \
    auto hami_try_result = (expr);                             \
    if (!hami_try_result) {                                    \
      return ::hami::Fail(std::move(hami_try_result).error()); \
    }                                                          \
  } while (false)

// TRY_ASSIGN(auto pod, DecodePod(json)): as TRY, and keeps the value.
#define TRY_ASSIGN(lhs, expr) TRY_ASSIGN_IMPL(HAMI_CONCAT(hami_try_, __LINE__), lhs, expr)
#define TRY_ASSIGN_IMPL(tmp, lhs, expr)          \
  auto tmp = (expr);                             \
  if (!tmp) {                                    \
    return ::hami::Fail(std::move(tmp).error()); \
  }                                              \
  lhs = std::move(*tmp)

#define CHECK(expr) ((expr) ? static_cast<void>(0) : ::hami::CheckFailed(#expr, __FILE__, __LINE__))

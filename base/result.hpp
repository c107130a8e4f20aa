#pragma once
// Result<T>: a value or an Error. Result<void> for actions. A [[nodiscard]] type: ignoring one is a warning.

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <stdexcept>

#include "base/error.hpp"

namespace stele {

template <class T>
using Result = boost::system::result<T, Error>;

// Called by Result<T>::value() on an error: reaching it is a bug in the caller, hence an exception.
[[noreturn]] inline void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::logic_error("value() of a failed Result: " + error.message());
}

}  // namespace stele

#pragma once
// Internal to auth/: OpenSSL's objects that free themselves, and its view of text. Include after the headers
// of the objects that are owned.

#include <memory>
#include <string_view>

namespace stele::auth {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Freer<Free>>;

inline const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace stele::auth

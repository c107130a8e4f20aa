#pragma once
// What `external_url` says beside the text that clients are sent on to: who they think they speak with, and
// the path that the proxy takes off.

#include <string>

namespace stele {

struct ExternalUrl {
  // As it stands in an image's name: "registry.example:5000" of "https://Registry.example:5000/images", in
  // small letters and without the scheme's own port. Empty: not configured.
  std::string host;
  // "/images"; empty: none.
  std::string path;

  // `configured`: Config::external_url, which is empty or has been checked.
  static ExternalUrl of(const std::string& configured);
};

}  // namespace stele

#include "server/external_url.hpp"

#include "http/url.hpp"

namespace stele {

ExternalUrl ExternalUrl::of(const std::string& configured) {
  ExternalUrl read;
  const auto url = http::Url::parse(configured);
  if (!url) return read;
  const std::string origin = url->origin();
  read.host = origin.substr(origin.find("://") + 3);
  if (url->path() != "/") read.path = url->path();
  return read;
}

}  // namespace stele

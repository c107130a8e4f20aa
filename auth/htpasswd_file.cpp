#include "auth/htpasswd_file.hpp"

#include <utility>

namespace stele::auth {

Result<void> HtpasswdFile::load_first() {
  auto renewed = renew();
  if (!renewed) return renewed.error();
  return {};
}

bool HtpasswdFile::is_other() const {
  const FileSignature now = FileSignature::of(path_);
  const std::lock_guard lock(mutex_);
  return now != seen_;
}

Result<bool> HtpasswdFile::renew() {
  const std::lock_guard one_reader(reading_);
  const FileSignature now = FileSignature::of(path_);
  {
    const std::lock_guard lock(mutex_);
    if (now == seen_ && users_) {
      if (!standing_) return standing_.error();
      return false;
    }
  }
  auto text = read_whole_file(path_, Htpasswd::max_bytes);
  Result<Htpasswd> parsed = Error(Errc::internal, "");
  if (text) {
    parsed = Htpasswd::parse(*text, path_);
  } else {
    parsed = text.error();
  }
  const std::lock_guard lock(mutex_);
  // Not remembered, it is read again at the next look: the same size and time may hide another content.
  if (now.is_settled() && FileSignature::of(path_) == now) {
    seen_ = now;
  } else {
    seen_ = {};
    seen_.size = -2;
  }
  // Emptied to be written anew, as `htpasswd` does: nobody is locked out for that moment.
  if (parsed && text->empty() && users_ && !now.is_settled()) return false;
  standing_ = parsed ? Result<void>() : Result<void>(parsed.error());
  if (!parsed) return parsed.error();
  if (users_ && *text == text_) return false;
  text_ = std::move(*text);
  users_ = std::make_shared<const Htpasswd>(std::move(*parsed));
  return true;
}

std::shared_ptr<const Htpasswd> HtpasswdFile::users() const {
  const std::lock_guard lock(mutex_);
  return users_;
}

}  // namespace stele::auth

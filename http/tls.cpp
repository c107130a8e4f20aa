#include "http/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cstring>

namespace stele::http {
namespace {

Error tls_error(const std::string& what, const std::string& file) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  return Error(Errc::parameter_invalid, what + " " + file + ": " + (reason ? reason : "cannot be used"));
}

// ALPN: http/1.1 if the client offers it, otherwise nothing is negotiated and HTTP/1.1 is spoken all the
// same.
int select_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                unsigned int offered_length, void*) {
  constexpr std::string_view wanted = "http/1.1";
  for (unsigned int i = 0; i < offered_length;) {
    const unsigned int length = offered[i];
    if (length == wanted.size() && i + 1 + length <= offered_length &&
        std::memcmp(offered + i + 1, wanted.data(), length) == 0) {
      *out = offered + i + 1;
      *out_length = static_cast<unsigned char>(length);
      return SSL_TLSEXT_ERR_OK;
    }
    i += 1 + length;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

Result<std::shared_ptr<SSL_CTX>> make_context(const TlsFiles& files) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return tls_error("TLS cannot be set up", "");
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_ENABLE_KTLS | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(
      raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(raw, select_alpn, nullptr);
  if (SSL_CTX_use_certificate_chain_file(raw, files.cert.c_str()) != 1) {
    return tls_error("tls.cert", files.cert);
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return tls_error("tls.key", files.key);
  }
  if (SSL_CTX_check_private_key(raw) != 1)
    return tls_error("tls.key does not belong to tls.cert:", files.key);
  if (!files.client_ca.empty()) {
    if (SSL_CTX_load_verify_locations(raw, files.client_ca.c_str(), nullptr) != 1) {
      return tls_error("tls.client_ca", files.client_ca);
    }
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(files.client_ca.c_str()));
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // Sessions must not be resumed under a context with another client CA.
    const std::string id = "stele";
    SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>(id.data()), id.size());
  }
  return context;
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::load(TlsFiles files) {
  std::unique_ptr<TlsContext> tls(new TlsContext(std::move(files)));
  auto loaded = tls->reload();
  if (!loaded) return loaded.error();
  return tls;
}

Result<void> TlsContext::reload() {
  const std::string now = fingerprint();
  auto context = make_context(files_);
  const std::lock_guard lock(mutex_);
  fingerprint_ = now;  // also after a failure: the same broken files are not tried every second
  if (!context) return context.error();
  context_ = std::move(*context);
  return {};
}

Result<bool> TlsContext::reload_if_changed() {
  {
    const std::string now = fingerprint();
    const std::lock_guard lock(mutex_);
    if (now == fingerprint_) return false;
  }
  auto reloaded = reload();
  if (!reloaded) return reloaded.error();
  return true;
}

std::shared_ptr<SSL_CTX> TlsContext::current() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

// Inode, size and change time of each file, through symlinks: a swapped link counts as a change.
std::string TlsContext::fingerprint() const {
  std::string text;
  for (const std::string* file : {&files_.cert, &files_.key, &files_.client_ca}) {
    struct stat info{};
    if (file->empty() || ::stat(file->c_str(), &info) != 0) {
      text += "-;";
      continue;
    }
    text += std::to_string(info.st_ino) + ',' + std::to_string(info.st_size) + ',' +
            std::to_string(info.st_mtim.tv_sec) + '.' + std::to_string(info.st_mtim.tv_nsec) + ';';
  }
  return text;
}

}  // namespace stele::http

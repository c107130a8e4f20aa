#include "http/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

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
  static constexpr unsigned char wanted[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* selected = nullptr;
  const int result =
      SSL_select_next_proto(&selected, out_length, wanted, sizeof wanted, offered, offered_length);
  *out = selected;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// A context points to one of these.
constexpr CertificateName kinds_of_name[] = {CertificateName::common_name, CertificateName::dns,
                                             CertificateName::uri};

bool has_revocation_list(SSL_CTX* context) {
  const STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_CRL) return true;
  }
  return false;
}

Result<void> ask_for_certificates(SSL_CTX* context, const TlsFiles& files) {
  if (SSL_CTX_load_verify_locations(context, files.client_ca.c_str(), nullptr) != 1)
    return tls_error("the authorities of client certificates in", files.client_ca);
  if (has_revocation_list(context))
    // Of the authorities between as well: who has a revoked one's key could name anybody.
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(files.client_ca.c_str()));
  SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | (files.certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  // A session that is resumed is one whose certificate nobody looks at again.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  const std::string_view id = "stele";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(id.data()), id.size());
  const CertificateName& kind = kinds_of_name[static_cast<std::size_t>(files.name)];
  SSL_CTX_set_ex_data(context, 0, const_cast<CertificateName*>(&kind));
  return {};
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
    if (auto asked = ask_for_certificates(raw, files); !asked) return asked.error();
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
  const std::vector<FileSignature> now = look();
  auto context = make_context(files_);
  const std::lock_guard lock(mutex_);
  seen_ = now;  // also after a failure: the same broken files are not tried every second
  if (!context) return context.error();
  // A file that was made without its lists would make good again whoever is on them.
  if (context_ && has_revocation_list(context_.get()) && !has_revocation_list(context->get())) {
    return Error(Errc::parameter_invalid,
                 files_.client_ca +
                     " has no revocation list any more, and those that it had stay in force; to go "
                     "without, start the server anew");
  }
  context_ = std::move(*context);
  return {};
}

Result<bool> TlsContext::reload_if_changed() {
  {
    const std::vector<FileSignature> now = look();
    const std::lock_guard lock(mutex_);
    if (now == seen_) return false;
  }
  auto reloaded = reload();
  if (!reloaded) return reloaded.error();
  return true;
}

CertificateName TlsContext::name_of(const SSL_CTX* context) {
  const void* const kind = SSL_CTX_get_ex_data(context, 0);
  return kind ? *static_cast<const CertificateName*>(kind) : CertificateName::common_name;
}

std::shared_ptr<SSL_CTX> TlsContext::current() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

std::vector<FileSignature> TlsContext::look() const {
  return {FileSignature::of(files_.cert), FileSignature::of(files_.key), FileSignature::of(files_.client_ca)};
}

}  // namespace stele::http

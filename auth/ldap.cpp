#include "auth/ldap.hpp"

#include <ldap.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "auth/ldap_certificate.hpp"
#include "auth/wrong_login.hpp"
#include "base/digest.hpp"
#include "base/hex.hpp"
#include "base/random.hpp"
#include "base/text.hpp"

namespace stele::auth {
namespace {

constexpr int page = 500;

// Nothing of the directory's own words, which may name entries. `why`: of what happened at this end.
Error unavailable(const std::string& what, int code, const std::string& why = {}) {
  return Error(Errc::unavailable, "the directory of users " + what + " (" + ldap_err2string(code) +
                                      (why.empty() ? "" : ": " + why) + "); try again in a moment");
}

// Whether another server may do better.
bool is_unreachable(int code) {
  return code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR || code == LDAP_TIMEOUT ||
         code == LDAP_TIMELIMIT_EXCEEDED || code == LDAP_BUSY || code == LDAP_UNAVAILABLE;
}

struct Unbind {
  void operator()(LDAP* connection) const { ldap_unbind_ext_s(connection, nullptr, nullptr); }
};
using Connection = std::unique_ptr<LDAP, Unbind>;

struct FreeMessage {
  void operator()(LDAPMessage* message) const { ldap_msgfree(message); }
};
using Message = std::unique_ptr<LDAPMessage, FreeMessage>;

struct FreeValues {
  void operator()(berval** values) const { ldap_value_free_len(values); }
};

std::string with_placeholders(std::string filter, const std::string& name, const std::string& dn) {
  std::string filled;
  for (std::size_t at = 0; at < filter.size();) {
    const std::string_view rest = std::string_view(filter).substr(at);
    if (rest.starts_with("{user}")) {
      filled += escaped_for_filter(name);
      at += 6;
    } else if (rest.starts_with("{dn}")) {
      filled += escaped_for_filter(dn);
      at += 4;
    } else {
      filled += filter[at++];
    }
  }
  return filled;
}

std::string first_value(LDAP* connection, LDAPMessage* entry, const std::string& attribute) {
  const std::unique_ptr<berval*, FreeValues> values(
      ldap_get_values_len(connection, entry, attribute.c_str()));
  if (!values || !*values) return {};
  const berval& first = **values;
  return std::string(first.bv_val, first.bv_len);
}

// One server, for one question.
class Session {
 public:
  Session(const LdapSettings& settings, std::string url) : settings_(settings), url_(std::move(url)) {}

  // `unchecked`: whoever it is at the other end, to whom nothing is said then.
  int open(bool unchecked = false) {
    LDAP* made = nullptr;
    if (const int code = ldap_initialize(&made, url_.c_str()); code != LDAP_SUCCESS) return code;
    connection_.reset(made);
    const int version = LDAP_VERSION3;
    const timeval limit{settings_.seconds, 0};
    ldap_set_option(made, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(made, LDAP_OPT_NETWORK_TIMEOUT, &limit);
    ldap_set_option(made, LDAP_OPT_TIMEOUT, &limit);
    // Elsewhere the password would go to whomever the directory names.
    ldap_set_option(made, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    if (is_encrypted()) {
      const int demand = unchecked ? LDAP_OPT_X_TLS_NEVER : LDAP_OPT_X_TLS_DEMAND, client = 0;
      ldap_set_option(made, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
      if (!settings_.ca.empty()) ldap_set_option(made, LDAP_OPT_X_TLS_CACERTFILE, settings_.ca.c_str());
      ldap_set_option(made, LDAP_OPT_X_TLS_NEWCTX, &client);
    }
    if (settings_.start_tls && !url_.starts_with("ldaps://")) return ldap_start_tls_s(made, nullptr, nullptr);
    return LDAP_SUCCESS;
  }

  // Of a failure at this end; empty: its code says enough.
  std::string why(int code) const {
    if (code >= 0 || !connection_) return {};  // the directory's answer
    char* text = nullptr;
    ldap_get_option(connection_.get(), LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
    std::string said = text ? text : "";
    ldap_memfree(text);
    if (said.empty() || !is_encrypted()) return said;
    const std::string fault = fault_at_the_other_end();
    return fault.empty() ? said : fault;
  }

  int bind(const std::string& dn, const std::string& password) {
    std::string secret = password;
    berval credentials{secret.size(), secret.data()};
    return ldap_sasl_bind_s(connection_.get(), dn.c_str(), LDAP_SASL_SIMPLE, &credentials, nullptr, nullptr,
                            nullptr);
  }

  // The one entry; nothing: none, or more than one.
  std::pair<int, std::optional<LdapUser>> find_user(const std::string& name) {
    const std::string filter = with_placeholders(settings_.user_filter, name, {});
    std::string attribute = settings_.user_attribute;
    char* attributes[] = {attribute.data(), nullptr};
    LDAPMessage* raw = nullptr;
    timeval limit{settings_.seconds, 0};
    const int code = ldap_search_ext_s(connection_.get(), settings_.user_base.c_str(), LDAP_SCOPE_SUBTREE,
                                       filter.c_str(), attributes, 0, nullptr, nullptr, &limit, 2, &raw);
    const Message message(raw);
    if (code == LDAP_NO_SUCH_OBJECT) return {LDAP_SUCCESS, std::nullopt};
    if (code != LDAP_SUCCESS && code != LDAP_SIZELIMIT_EXCEEDED) return {code, std::nullopt};
    if (!message || ldap_count_entries(connection_.get(), message.get()) != 1)
      return {LDAP_SUCCESS, std::nullopt};
    LDAPMessage* const entry = ldap_first_entry(connection_.get(), message.get());
    LdapUser user;
    char* const dn = ldap_get_dn(connection_.get(), entry);
    if (dn) user.dn = dn;
    ldap_memfree(dn);
    user.name = lower_case(first_value(connection_.get(), entry, settings_.user_attribute));
    if (user.dn.empty() || user.name.empty()) return {LDAP_SUCCESS, std::nullopt};
    return {LDAP_SUCCESS, std::move(user)};
  }

  // All of them, page by page (RFC 2696), or an error: a part would be rights that come and go.
  int find_groups(LdapUser& user) {
    const std::string filter = with_placeholders(settings_.group_filter, user.name, user.dn);
    berval cookie{0, nullptr};
    int code = LDAP_SUCCESS;
    do {
      code = next_groups(filter, cookie, user.groups);
    } while (code == LDAP_SUCCESS && cookie.bv_len > 0);
    ber_memfree(cookie.bv_val);
    return code;
  }

 private:
  bool is_encrypted() const { return url_.starts_with("ldaps://") || settings_.start_tls; }

  // Of the certificate that is shown there; asked once more for it.
  std::string fault_at_the_other_end() const {
    Session looking(settings_, url_);
    if (looking.open(true) != LDAP_SUCCESS || ldap_connect(looking.connection_.get()) != LDAP_SUCCESS)
      return {};
    berval shown{0, nullptr};
    LDAPURLDesc* parts = nullptr;
    if (ldap_url_parse(url_.c_str(), &parts) != LDAP_SUCCESS) return {};
    const std::string host = parts->lud_host ? parts->lud_host : "";
    ldap_free_urldesc(parts);
    if (ldap_get_option(looking.connection_.get(), LDAP_OPT_X_TLS_PEERCERT, &shown) != LDAP_OPT_SUCCESS)
      return {};
    const std::string certificate(shown.bv_val, shown.bv_len);
    ber_memfree(shown.bv_val);
    return fault_of_certificate(certificate, host, settings_.ca, SystemClock().now());
  }

  int next_groups(const std::string& filter, berval& cookie, std::vector<std::string>& groups) {
    LDAPControl* paged = nullptr;
    if (const int code = ldap_create_page_control(connection_.get(), page, &cookie, 1, &paged);
        code != LDAP_SUCCESS)
      return code;
    LDAPControl* controls[] = {paged, nullptr};
    std::string attribute = settings_.group_attribute;
    char* attributes[] = {attribute.data(), nullptr};
    LDAPMessage* raw = nullptr;
    timeval limit{settings_.seconds, 0};
    int code =
        ldap_search_ext_s(connection_.get(), settings_.group_base.c_str(), LDAP_SCOPE_SUBTREE, filter.c_str(),
                          attributes, 0, controls, nullptr, &limit, LDAP_NO_LIMIT, &raw);
    const Message message(raw);
    ldap_control_free(paged);
    if (code != LDAP_SUCCESS) return code;
    for (LDAPMessage* entry = ldap_first_entry(connection_.get(), message.get()); entry;
         entry = ldap_next_entry(connection_.get(), entry)) {
      if (groups.size() >= Ldap::most_groups) return LDAP_SIZELIMIT_EXCEEDED;
      std::string name = first_value(connection_.get(), entry, settings_.group_attribute);
      if (!name.empty()) groups.push_back(std::move(name));
    }
    return next_page(message.get(), cookie);
  }

  int next_page(LDAPMessage* message, berval& cookie) {
    ber_memfree(cookie.bv_val);
    cookie = berval{0, nullptr};
    LDAPControl** answered = nullptr;
    int result = LDAP_SUCCESS;
    const int code =
        ldap_parse_result(connection_.get(), message, &result, nullptr, nullptr, nullptr, &answered, 0);
    if (code != LDAP_SUCCESS) return code;
    if (LDAPControl* const paged = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, answered, nullptr)) {
      ber_int_t total = 0;
      ldap_parse_pageresponse_control(connection_.get(), paged, &total, &cookie);
    }
    ldap_controls_free(answered);
    return result;
  }

  const LdapSettings& settings_;
  const std::string url_;
  Connection connection_;
};

std::optional<std::string> secret_of(const std::string& file) {
  if (file.empty()) return std::string();
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::nullopt;
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// As whom an attempt for a name that nobody has binds. It must be nobody's. Whoever reads the directory's log
// learns from it what it is.
std::string nobodys_dn(const LdapSettings& settings) {
  static const std::string name = "cn=stele-asks-as-nobody-" + random_hex(8);
  return settings.user_base.empty() ? name : name + "," + settings.user_base;
}

}  // namespace

std::string LdapUser::fingerprint() const {
  return std::string(Digest::of(DigestAlgorithm::sha256, "ldap " + dn).hex().substr(0, 32));
}

std::string escaped_for_filter(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '*' || c == '(' || c == ')' || c == '\\' || byte < 0x20 || byte >= 0x7f) {
      escaped += '\\';
      append_hex(escaped, byte);
    } else {
      escaped += c;
    }
  }
  return escaped;
}

struct Ldap::Failure {
  int code = LDAP_SERVER_DOWN;
  std::string why = {};
};

Result<LdapUser> Ldap::check(const std::string& name, const std::string& password) {
  if (password.empty() || password.find('\0') != std::string::npos) return wrong_login();
  return ask(name, Proof::owners, password);
}

Result<LdapUser> Ldap::find(const std::string& name) {
  return ask(name, Proof::none);
}

Error Ldap::refuse(const std::string& name) {
  const auto answer = ask(name, Proof::nobodys);
  return answer ? wrong_login() : answer.error();
}

std::optional<Result<LdapUser>> Ldap::ask_server(const std::string& url, const std::string& secret,
                                                 const std::string& name, Proof proof,
                                                 const std::string& password, Failure& failure) const {
  int& code = failure.code;
  failure.why.clear();
  Session session(settings_, url);
  code = session.open();
  if (code == LDAP_SUCCESS) code = session.bind(settings_.bind_dn, secret);
  if (code != LDAP_SUCCESS) {  // wrong settings as well: said when all have failed
    failure.why = session.why(code);
    return std::nullopt;
  }
  auto [found, user] = session.find_user(name);
  if (found != LDAP_SUCCESS) {
    code = found;
    if (is_unreachable(found)) return std::nullopt;
    return unavailable("could not be searched", found);
  }
  if (proof != Proof::none) {
    // On a connection of its own: groups are searched by bind_dn. Before them, so that nobody learns who is
    // known here from an error that comes without the password; nor from the time that the answer takes.
    Session own(settings_, url);
    code = own.open();
    // What was typed beside a name that nobody has goes to nobody.
    const bool is_owners = user && proof == Proof::owners;
    if (code == LDAP_SUCCESS)
      code = is_owners ? own.bind(user->dn, password) : own.bind(nobodys_dn(settings_), random_hex(16));
    if (is_unreachable(code)) return std::nullopt;
    // Another password, locked, expired: nobody learns which.
    if (code != LDAP_SUCCESS || !is_owners) return wrong_login();
  }
  if (!user) return wrong_login();
  if (!settings_.group_base.empty()) {
    code = session.find_groups(*user);
    if (is_unreachable(code)) return std::nullopt;
    if (code != LDAP_SUCCESS) return unavailable("did not tell all groups of a user", code);
  }
  return std::move(*user);
}

Result<LdapUser> Ldap::ask(const std::string& name, Proof proof, const std::string& password) {
  if (name.empty() || name.find('\0') != std::string::npos) return wrong_login();
  const auto secret = secret_of(settings_.bind_password_file);
  if (!secret || (!settings_.bind_password_file.empty() && secret->empty()))
    return Error(Errc::unavailable,
                 "the directory of users cannot be asked: its bind_password_file cannot be read");
  Failure failure;
  const std::size_t first = last_good_;
  for (std::size_t i = 0; i < settings_.urls.size(); ++i) {
    const std::size_t place = (first + i) % settings_.urls.size();
    auto answer = ask_server(settings_.urls[place], *secret, name, proof, password, failure);
    if (!answer) continue;
    last_good_ = place;
    return std::move(*answer);
  }
  return unavailable("cannot be asked", failure.code, failure.why);
}

}  // namespace stele::auth

#pragma once
// Who acts.

#include <string>

namespace stele {

// A value. `anonymous`, `cert:<common name>` for a TLS client certificate, `local:<uid>` on the
// administration socket, `system` for what Stele does by itself.
class Principal {
 public:
  static Principal anonymous() { return Principal("anonymous"); }
  static Principal system() { return Principal("system"); }
  explicit Principal(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  friend bool operator==(const Principal&, const Principal&) = default;

 private:
  std::string name_;
};

}  // namespace stele

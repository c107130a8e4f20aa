// stele_load: the load program of bench/run.py. Prints one line of JSON per run; ends with 1 when a request
// failed.

#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/load/decide.hpp"
#include "bench/load/hold.hpp"
#include "bench/load/pull.hpp"
#include "bench/load/push.hpp"

int main(int argc, char** argv) {
  using namespace stele::load;
  CLI::App app("Load for a registry on loopback, without credentials");
  app.require_subcommand(1);
  std::string address;

  PushOptions pushing;
  CLI::App* push_command = app.add_subcommand("push", "pushes of unique blobs or manifests");
  push_command->add_option("--target", address, "HOST:PORT")->required();
  push_command->add_option("--repository", pushing.repository)->required();
  push_command->add_flag("--manifests", pushing.manifests, "image manifests by tag, instead of blobs");
  push_command->add_option("--tag-prefix", pushing.tag_prefix, "what the tags begin with");
  push_command->add_flag("--numbered", pushing.numbered, "tags are the prefix and a number");
  push_command->add_option("--first", pushing.first, "number of the first tag");
  push_command->add_option("--clients", pushing.clients)->check(CLI::PositiveNumber);
  push_command->add_option("--bytes", pushing.bytes, "size of each")->required();
  push_command->add_option("--count", pushing.count, "pushes of all clients together")->required();
  push_command->add_option("--seconds", pushing.seconds, "no push begins later than this");
  push_command->add_option("--verify", pushing.verify, "how many to read back; 0: all");
  push_command->add_flag("--announce", pushing.announce, "print \"started\" when the first push begins");
  push_command->add_flag("--digests", pushing.print_digests, "name what was pushed in the report");

  PullOptions pulling;
  CLI::App* pull_command = app.add_subcommand("pull", "GET or HEAD of one path over and over");
  pull_command->add_option("--target", address, "HOST:PORT")->required();
  pull_command->add_option("--path", pulling.path)->required();
  pull_command->add_option("--random", pulling.random, "{} in the path becomes a number below this");
  pull_command->add_option("--range-of", pulling.range_of, "ask for --bytes from a random place of so many");
  pull_command->add_option("--method", pulling.method)->check(CLI::IsMember({"GET", "HEAD"}));
  pull_command->add_flag("--tls", pulling.tls);
  pull_command->add_option("--clients", pulling.clients)->check(CLI::PositiveNumber);
  pull_command->add_option("--seconds", pulling.seconds);
  pull_command->add_option("--bytes", pulling.bytes, "Content-Length of each answer")->required();

  HoldOptions holding;
  CLI::App* hold_command = app.add_subcommand("hold", "many large transfers in flight");
  hold_command->add_option("--target", address, "HOST:PORT")->required();
  hold_command->add_option("--path", holding.path, "blob to download");
  hold_command->add_option("--repository", holding.repository,
                           "that takes the uploads, when there is no --path");
  hold_command->add_option("--transfers", holding.transfers);
  hold_command->add_option("--bytes", holding.bytes, "size of each")->required();
  hold_command->add_option("--seconds", holding.seconds);

  unsigned rules = 1000;
  double decide_seconds = 2;
  CLI::App* decide_command = app.add_subcommand("decide", "what finding a tag's rule costs");
  decide_command->add_option("--rules", rules)->check(CLI::PositiveNumber);
  decide_command->add_option("--seconds", decide_seconds);
  CLI::App* rules_command = app.add_subcommand("rules", "the policy file that `decide` uses");
  rules_command->add_option("--rules", rules)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  try {
    if (rules_command->parsed()) {
      std::cout << policy_text(rules);
      return 0;
    }
    if (decide_command->parsed()) {
      std::cout << decide(rules, decide_seconds) << '\n';
      return 0;
    }
    pushing.target = pulling.target = holding.target = Target::parse(address);
    if (push_command->parsed()) std::cout << push(pushing) << '\n';
    if (pull_command->parsed()) std::cout << pull(pulling) << '\n';
    if (hold_command->parsed()) std::cout << hold(holding) << '\n';
  } catch (const std::exception& failure) {
    std::cerr << "stele_load: " << address << ": " << failure.what() << '\n';
    return 1;
  }
  return 0;
}

// Long: in which order everything is opened, served and ended is one decision, and this is where it stands.
#include "server/stele_server.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "api/admin/admin_handler.hpp"
#include "api/identifying_handler.hpp"
#include "gc/fsck.hpp"
#include "gc/lifecycle/verdict.hpp"
#include "gc/scrub.hpp"
#include "gc/worker.hpp"
#include "registry/in_use.hpp"
#include "registry/retention.hpp"
#include "registry/usage.hpp"
#include "registry/why.hpp"
#include "server/access_log.hpp"
#include "server/backups.hpp"
#include "server/cross_origin.hpp"
#include "server/data_directory.hpp"
#include "server/external_url.hpp"
#include "server/front_handler.hpp"
#include "server/identities.hpp"
#include "server/jobs.hpp"
#include "server/metrics_text.hpp"
#include "server/mirror_blob_source.hpp"
#include "server/mirror_eviction.hpp"
#include "server/policy_file.hpp"
#include "server/request_metrics.hpp"
#include "server/restored_catalog.hpp"
#include "server/server_administration.hpp"
#include "storage/catalog/schema.hpp"
#include "storage/fs/fs_blob_store.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"

namespace stele {
namespace {

constexpr std::uint64_t ready_with_bytes = 64 * 1024 * 1024;
// Whoever asks for a manifest while others push layers does not wait for their hashes. More costs uploads
// too much where other programs want the processors as well.
constexpr int bulk_niceness = 10;

Result<ReferenceRules> reference_rules(const Config& config) {
  std::vector<ReferenceRules::Rule> rules;
  // Of what a mirror has, only that is here which somebody asked for.
  for (const mirror::Settings& mirror : config.mirrors)
    rules.push_back({{mirror.prefix + "/**"}, ReferenceMode::sparse});
  for (const Config::ReferenceRule& rule : config.references) {
    rules.push_back({rule.repositories, rule.mode == Config::ReferenceMode::sparse ? ReferenceMode::sparse
                                                                                   : ReferenceMode::strict});
  }
  return ReferenceRules::compile(rules);
}

Result<std::unique_ptr<http::TlsContext>> load_tls(const Config& config) {
  if (!config.tls.enabled()) return std::unique_ptr<http::TlsContext>();
  const bool required = !config.tls.client_ca.empty();
  return http::TlsContext::load({config.tls.cert, config.tls.key,
                                 required ? config.tls.client_ca : config.auth.mtls_ca, required,
                                 config.auth.mtls_identity});
}

}  // namespace

struct SteleServer::Impl final : http::Observer {
  explicit Impl(const Config& chosen, std::string running_version)
      : config(chosen),
        version(std::move(running_version)),
        cores(std::max(2U, std::thread::hardware_concurrency())),
        disk("stele-disk", 2 * cores),
        bulk("stele-bulk", 2 * cores, bulk_niceness),
        db("stele-db", 2),
        leases(boot_clock, chosen.gc.lease.count()),
        identities(config, boot_clock, clock, disk),
        access(&live_policy, {.credentials = identities.login()}) {}

  // In the order in which things depend on each other.
  Result<void> open() {
    auto opened_directory = DataDirectory::open(config.data, config.require_existing);
    if (!opened_directory) return opened_directory.error();
    directory.emplace(std::move(*opened_directory));
    auto rules = reference_rules(config);
    if (!rules) return rules.error();
    references = std::move(*rules);
    auto loaded_tls = load_tls(config);
    if (!loaded_tls) return loaded_tls.error();
    tls = std::move(*loaded_tls);
    if (auto known = identities.open(); !known) return known;

    if (auto opened = open_storage(); !opened) return opened;
    if (auto begun = begin_release_clock(); !begun) return begun;
    auto opened_pulls = PullTimes::open(
        {directory->file("pulls"), PullTimes::default_words, present_boot_id()}, *database, *writer, clock);
    if (!opened_pulls) return opened_pulls.error();
    pulls = std::move(*opened_pulls);
    if (const std::string remark = pulls->remark(); !remark.empty()) spdlog::warn("{}", remark);
    if (auto known = quarantine.load(*database); !known) return known;
    context.emplace(RegistryContext{*blobs, *database, *writer, disk, bulk, db, clock, leases, references,
                                    digest_locks, live_policy, release_clock, *pulls, quarantine,
                                    quota_refusals, config.delete_enabled});
    restored_catalog.emplace(directory->file("newest-event"), *context);
    if (auto looked = restored_catalog->look(); !looked)
      spdlog::error("whether the catalog is a restored one is unknown: {}", looked.error().message());
    retention.emplace(*context);
    in_use.emplace(*context);
    usages.emplace(*context, [this](const RepositoryName& name) { return gc::would_free(*context, name); });
    whys.emplace(*context,
                 [this](const RepositoryName& name, const std::optional<Tag>& tag, const Digest& digest) {
                   return gc::verdict_of(*context, name, tag, digest);
                 });
    registry = std::make_unique<Registry>(*context);
    if (auto opened_mirrors = open_mirrors(); !opened_mirrors) return opened_mirrors;
    policies.emplace(*context);
    policy_file = std::make_unique<PolicyFile>(config.policy, *policies, live_policy);
    if (auto loaded = policy_file->load_first(); !loaded) return loaded;
    UploadsSettings upload_settings;
    upload_settings.idle_seconds = config.limits.upload_idle.count();
    uploads = std::make_unique<Uploads>(*context, upload_settings);
    collection = std::make_unique<gc::Worker>(*context);
    lifecycle = std::make_unique<gc::LifecycleRuns>(*context, gc::RunSettings(),
                                                    mirrored_repositories(config.mirrors, mirrors.get()));
    if (mirrors) blob_source.emplace(*mirrors, bulk);
    scrub = std::make_unique<gc::Scrub>(*context, *uploads, blob_source ? &*blob_source : nullptr,
                                        scrub_settings());
    fsck = std::make_unique<gc::Fsck>(*context, *uploads);
    auto opened_backups = Backups::open(directory->file("backups"), *database, clock);
    if (!opened_backups) return opened_backups.error();
    backups.emplace(std::move(*opened_backups));
    jobs.emplace(Jobs::Context{config, tls.get(), *policy_file, identities, *pulls, *uploads, *backups,
                               *usages, *retention, *restored_catalog, *context});
    // A catalog that cannot be written at present learns of it later; until then nothing counts as recorded.
    (void)jobs->flush_pulls();
    administration.emplace(ServerAdministration::Context{version, *directory, *context, *uploads, *backups,
                                                         *restored_catalog, latch, *jobs});
    return listen();
  }

  Result<void> open_storage() {
    auto opened_database = sql::open_sqlite(
        directory->file("stele.db"),
        {.snapshots_wanted = [this] { release_snapshots(); }, .own_table = catalog::marker_table});
    if (!opened_database) return opened_database.error();
    database = std::move(*opened_database);
    if (auto migrated = catalog::migrate(*database); !migrated) return migrated;
    auto opened_blobs = fs::open_blob_store(directory->path(), latch);
    if (!opened_blobs) return opened_blobs.error();
    blobs = std::move(*opened_blobs);
    writer = std::make_unique<sql::Writer>(*database, latch);
    identities.attach(*database, *writer);
    return {};
  }

  Result<void> open_mirrors() {
    if (config.mirrors.empty()) return {};
    auto opened = mirror::Mirrors::open(config.mirrors, *context, *registry, config.limits.manifest_bytes);
    if (!opened) return opened.error();
    mirrors = std::move(*opened);
    return {};
  }

  gc::ScrubSettings scrub_settings() const {
    gc::ScrubSettings settings;
    settings.every_seconds = config.scrub.every.count();
    settings.rate = config.scrub.rate;
    settings.alarm = [](const std::string& line) { spdlog::error("{}", line); };
    return settings;
  }

  Result<void> begin_release_clock() {
    const auto highest = database->read([](sql::Session& session) -> Result<std::optional<Timestamp>> {
      return catalog::stored_release_time(session);
    });
    if (!highest) return highest.error();
    release_clock.begin(*highest);
    if (const auto claimed = release_clock.unconfirmed()) {
      spdlog::warn(
          "the machine's clock says {}, more than a day after the last time seen, {}: locks go by the latter "
          "until `stele clock confirm`",
          to_string(*claimed), to_string(**highest));
    }
    return {};
  }

  api::TokenHandler::Mirrored mirrored() const {
    if (!mirrors) return {};
    return [names = &mirrors->names()](const RepositoryName& asked) -> std::optional<RepositoryName> {
      if (names->is_mirrored(asked)) return asked;
      const auto place = names->default_place(asked);
      if (!place) return std::nullopt;
      return place->stored;
    };
  }

  Result<void> listen() {
    const bool own_metrics = config.metrics.listen.has_value();
    const ExternalUrl external_url = ExternalUrl::of(config.external_url);
    const auto text = [this] { return metrics(); };
    oci = std::make_unique<api::oci::OciHandler>(
        *registry, *uploads, access,
        api::oci::OciSettings{config.limits.manifest_bytes, config.delete_enabled, mirrors.get(),
                              config.external_url, external_url.path});
    operations = std::make_unique<api::OperationsHandler>(
        checks(), own_metrics ? std::function<std::string()>() : text);
    admin = std::make_unique<api::AdminHandler>(api::AdminContext{*administration,
                                                                  *context,
                                                                  clock,
                                                                  release_clock,
                                                                  *policies,
                                                                  *retention,
                                                                  *collection,
                                                                  *lifecycle,
                                                                  access,
                                                                  config.delete_enabled,
                                                                  *in_use,
                                                                  *usages,
                                                                  *whys,
                                                                  *scrub,
                                                                  *fsck,
                                                                  mirrors.get(),
                                                                  external_url.host,
                                                                  identities.robots(),
                                                                  identities.login_tokens(),
                                                                  identities.user_tokens(),
                                                                  identities.login(),
                                                                  identities.local_users(),
                                                                  identities.passwords(),
                                                                  identities.first_administrator(),
                                                                  identities.authenticator()});
    if (identities.tokens())
      token = std::make_unique<api::TokenHandler>(identities.authenticator(), access, mirrored());
    front = std::make_unique<FrontHandler>(*oci, *admin, *operations, config.trusted_proxies, token.get());
    api::ChallengeSettings challenge = identities.challenge();
    if (mirrors) challenge.mirrored = api::oci::names_of(*mirrors);
    front_door = std::make_unique<api::IdentifyingHandler>(
        identities.authenticator(), *front, std::move(challenge), token.get(), identities.request_limits());
    outer_door = std::make_unique<CrossOriginHandler>(config.cors.origins, *front_door);
    local_door = std::make_unique<api::IdentifyingHandler>(identities.authenticator(), *admin);
    if (config.log.access) access_log = std::make_unique<AccessLog>(config.log.format);

    http::ServerOptions options;
    options.threads = cores;
    options.connections = config.limits.connections;
    options.header_bytes = config.limits.header_bytes;
    options.memory_bytes = std::max<std::size_t>(options.memory_bytes, 2 * config.limits.manifest_bytes);
    options.tick = std::chrono::milliseconds(1000 / config.test.ticks_per_second);
    options.on_tick = [this] { database->renew_kept_snapshot(); };
    server = std::make_unique<http::Server>(std::move(options), *this, disk);
    auto main = server->listen_tcp(config.listen.host, config.listen.port, *outer_door, tls.get());
    if (!main) return main.error();
    ListenAddress bound = config.listen;
    bound.port = main->port;
    address = bound.to_string();
    if (own_metrics) {
      metrics_operations = std::make_unique<api::OperationsHandler>(checks(), text);
      auto second =
          server->listen_tcp(config.metrics.listen->host, config.metrics.listen->port, *metrics_operations);
      if (!second) return second.error();
    }
    return server->listen_unix(directory->file("stele.sock"), *local_door);
  }

  // Called by the writer's thread, which ends before the server goes.
  void release_snapshots() {
    http::Server* const serving = serving_readers;
    if (serving) serving->run_on_each([this] { database->release_kept_snapshot(); });
  }

  void begin() {
    server->start();
    serving_readers = server.get();
    std::vector<Scheduler::Job> more;
    if (mirrors && MirrorEviction::is_wanted(config.mirrors)) {
      eviction.emplace(config.mirrors, *context, *mirrors);
      using std::chrono::seconds;
      more.push_back({"eviction", seconds(1), seconds(1),
                      [this](const std::stop_token& stop) { return eviction->run(stop); }});
    }
    jobs->begin(std::move(more));
  }

  std::string stop() {
    if (!server || std::exchange(stopped, true)) return {};
    lifecycle->stop();  // first: somebody may wait for its end
    if (mirrors) mirrors->stop_waiting();
    identities.stop_asking();
    const http::Stopped end = server->stop(stop_grace);
    if (mirrors) mirrors->abort();  // ends what still arrives: nobody waits for it any more
    jobs->end();
    scrub.reset();  // it repairs from the mirrors' upstreams
    mirrors.reset();
    collection.reset();
    fsck.reset();
    sync_wait(uploads->persist_all());
    jobs->write_down();
    writer.reset();  // commits what waits
    database->writer().checkpoint();
    if (end.cut_off == 0) return {};
    return "connections that were cut off " +
           (end.hurried ? std::string("by the second signal")
                        : "after " + std::to_string(stop_grace.count()) + " seconds") +
           ": " + std::to_string(end.cut_off);
  }

  std::vector<api::ReadinessCheck> checks() {
    return {{"disk",
             [this]() -> Result<void> {
               auto space = blobs->space();
               if (!space) return space.error();
               if (space->available_bytes >= ready_with_bytes) return {};
               return Error(
                   Errc::no_space,
                   std::to_string(space->available_bytes) +
                       " bytes are left in the data directory; make room, writes resume by themselves");
             }},
            {"catalog",
             [this] {
               return database->read([](sql::Session& session) -> Result<void> {
                 catalog::list_repositories(session, "", 1);
                 return {};
               });
             }},
            {"store", [this] { return latch.check(); }}};
  }

  std::string metrics() {
    MetricsSnapshot snapshot;
    snapshot.requests = request_metrics.totals();
    snapshot.connections = server->statistics();
    snapshot.writer = writer->statistics();
    snapshot.uploads = uploads->statistics();
    if (auto space = blobs->space()) snapshot.space = *space;
    snapshot.collection = collection->progress();
    snapshot.lifecycle = lifecycle->status();
    snapshot.scrub = scrub->status();
    snapshot.in_use = in_use->summary();
    snapshot.logins = &identities.counts();
    snapshot.next_robot_expiry_seconds = identities.robots().next_expiry_seconds();
    snapshot.usage = jobs->usage_totals();
    snapshot.quota_refusals = quota_refusals.load(std::memory_order_relaxed);
    snapshot.jobs = jobs->status();
    snapshot.catalog_bytes = database->size_bytes();
    snapshot.backup_age_seconds = backups->newest_age_seconds();
    snapshot.pulls = pulls->statistics();
    snapshot.read_only = latch.closed();
    snapshot.store_errors = store_errors.load(std::memory_order_relaxed);
    if (access_log) snapshot.access_lines_lost = access_log->lost();
    snapshot.version = version;
    if (mirrors) snapshot.mirrors = mirrors->status();
    return metrics_text(snapshot);
  }

  void request_finished(const http::RequestSummary& summary) override {
    request_metrics.record(summary);
    identities.count_bytes(summary);
    if (mirrors && std::string_view(summary.note.route) != "admin")
      mirrors->note_served(summary.note.repository, summary.bytes_sent);
    // Not what strangers can ask for: HTTP/2.0, one connection too many.
    if (summary.note.store_failed) store_errors.fetch_add(1, std::memory_order_relaxed);
    if (summary.note.store_failed || summary.status == 500) {
      spdlog::warn("request {} {} {} answered {}: {}", summary.id, summary.method, summary.target,
                   summary.status, summary.note.error);
    }
    if (access_log) access_log->write(summary);
  }

  const Config config;
  const std::string version;
  const unsigned cores;
  SystemClock clock;
  BootClock boot_clock;
  ReleaseClock release_clock{clock, boot_clock};
  StoreLatch latch;
  ThreadPool disk;
  ThreadPool bulk;
  ThreadPool db;
  Leases leases;
  KeyedMutex digest_locks;
  Quarantine quarantine;
  policy::LivePolicy live_policy{policy::Policy::built_in()};
  Identities identities;
  const auth::Access access;
  ReferenceRules references;
  RequestMetrics request_metrics;
  std::atomic<std::uint64_t> store_errors{0};
  std::atomic<std::uint64_t> quota_refusals{0};
  std::atomic<http::Server*> serving_readers{nullptr};  // once there are any
  bool stopped = false;
  std::string address;
  std::optional<DataDirectory> directory;
  std::unique_ptr<http::TlsContext> tls;
  std::unique_ptr<sql::Database> database;
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<sql::Writer> writer;
  std::unique_ptr<PullTimes> pulls;
  std::optional<RegistryContext> context;
  std::unique_ptr<Registry> registry;
  std::unique_ptr<mirror::Mirrors> mirrors;     // null: none are configured
  std::optional<MirrorEviction> eviction;       // where one of them asks for it
  std::optional<MirrorBlobSource> blob_source;  // with mirrors
  std::optional<Policies> policies;
  std::optional<RestoredCatalog> restored_catalog;
  std::optional<Retention> retention;
  std::optional<InUse> in_use;
  std::optional<Usages> usages;
  std::optional<Whys> whys;
  std::unique_ptr<PolicyFile> policy_file;
  std::unique_ptr<Uploads> uploads;
  std::optional<Backups> backups;
  std::unique_ptr<gc::Worker> collection;
  std::unique_ptr<gc::LifecycleRuns> lifecycle;
  std::unique_ptr<gc::Scrub> scrub;
  std::unique_ptr<gc::Fsck> fsck;
  std::optional<Jobs> jobs;
  std::optional<ServerAdministration> administration;
  std::unique_ptr<AccessLog> access_log;
  std::unique_ptr<api::oci::OciHandler> oci;
  std::unique_ptr<api::OperationsHandler> operations;
  std::unique_ptr<api::OperationsHandler> metrics_operations;
  std::unique_ptr<api::TokenHandler> token;  // null: no tokens are made
  std::unique_ptr<FrontHandler> front;
  std::unique_ptr<api::IdentifyingHandler> front_door;
  std::unique_ptr<CrossOriginHandler> outer_door;
  std::unique_ptr<api::IdentifyingHandler> local_door;
  std::unique_ptr<api::AdminHandler> admin;
  std::unique_ptr<http::Server> server;
};

SteleServer::SteleServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SteleServer::~SteleServer() {
  impl_->stop();
}

Result<std::unique_ptr<SteleServer>> SteleServer::start(const Config& config, const std::string& version) {
  auto impl = std::make_unique<Impl>(config, version);
  auto opened = impl->open();
  if (!opened) return opened.error();
  impl->begin();
  return std::unique_ptr<SteleServer>(new SteleServer(std::move(impl)));
}

const std::string& SteleServer::address() const {
  return impl_->address;
}

bool SteleServer::has_logins() const {
  return impl_->identities.login();
}

std::string SteleServer::open_to() const {
  if (has_logins() || impl_->context->policy.current()->access()) return {};
  if (impl_->identities.for_this_machine_only())
    return "everything is allowed to whoever is on this machine, and nobody else reaches it; stele init sets "
           "up users and TLS for others";
  return "whoever reaches it may pull, push and delete: there are no users and no access_rules; stele init "
         "sets them up";
}

void SteleServer::reload() {
  (void)impl_->policy_file->renew(true);  // logged
  (void)impl_->identities.renew();        // logged
  if (!impl_->tls) return;
  const auto reloaded = impl_->tls->reload();
  if (reloaded) {
    spdlog::info("certificates were re-read from {}", impl_->config.tls.cert);
  } else {
    spdlog::error("the certificates are not used: {}; the old ones stay in force",
                  reloaded.error().message());
  }
}

std::string SteleServer::stop() {
  return impl_->stop();
}
void SteleServer::hurry() {
  impl_->server->hurry();
}

}  // namespace stele

// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin.hpp"

#include "host/base/memory_file.hpp"
#include "host/base/thread.hpp"
#include "host/bpf/scheduler_object.hpp"
#include <scxhost/plugin.h>

#include <boost/dll/shared_library.hpp>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cxxabi.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

namespace scxhost {

struct Plugin::State {
    struct RingBufferFree {
        void operator()(ring_buffer* buffer) const { ring_buffer__free(buffer); }
    };
    struct Watched {
        State* state = nullptr;
        scxhost_event_handler handler = nullptr;
        void* cookie = nullptr;
    };

    std::string name;
    // The library is loaded from a copy of the bytes that were checked. From the file itself, a build or an
    // installation that writes into it would change code that runs; and two builds of one file, as in a swap, would be
    // one to the loader. Kept open: the loader knows libraries by their paths, and this one's has the descriptor in it.
    UniqueFd copy;
    boost::dll::shared_library library;
    scxhost_plugin_callbacks callbacks{};
    scxhost_host host{};
    PluginAllowances allowances{};

    // What follows is used on the plugin's thread only.
    std::shared_ptr<SchedulerObject> object; // null once it is closed
    void* instance = nullptr;
    bool created = false;
    std::string reported;
    std::string reported_hint;
    std::map<std::string, Watched> watched; // by map
    std::optional<Error> event_failure;     // the last one of a go
    std::unique_ptr<ring_buffer, RingBufferFree> ring;

    // Written on its thread until loaded() is through, and only read after that.
    std::vector<StatisticDeclaration> statistics;
    bool statistics_are_final = false;
    // Written by any thread of the plugin.
    std::array<std::atomic<std::int64_t>, SCXHOST_STATISTICS_MAX> values{};
    std::atomic<std::int32_t> nr_values = 0;

    InheritingMutex log_mutex;
    PluginLogSink log; // empty: nobody listens any more

    Result<> load(const PluginFile& file);
    Result<> create();
    Result<> call(PluginCallback callback);
    void release_object();
    void end();
    Result<> deliver_events();

    // `goal` is what the callback is for, after "failed to".
    template <typename Function>
    Result<> guarded(std::string_view method, std::string_view goal, Function&& function);
    Error failure(std::string_view goal, std::int32_t code) const;
    Error escaped_exception(std::string_view method) const;
    void say(int level, std::string_view message);

    // What plugins call, with this state as the context. The calls come from foreign code: nothing may throw out of
    // them, and nothing passed in is trusted to be there.
    static void log_line(void* context, std::int32_t level, const char* message) noexcept;
    static void report_error(void* context, const char* message, const char* hint) noexcept;
    static std::int32_t find_variable(void* context, const char* name, scxhost_variable* out) noexcept;
    static std::int32_t find_map(void* context, const char* name, scxhost_map* out) noexcept;
    static std::int32_t add_statistic(void* context, const scxhost_statistic* statistic) noexcept;
    static std::int32_t set_statistic(void* context, std::int32_t number, std::int64_t value) noexcept;
    static std::int32_t watch_events(void* context, const char* map, scxhost_event_handler handler,
                                     void* cookie) noexcept;
    static std::int32_t run_program(void* context, const char* program, void* argument, std::size_t bytes,
                                    std::int32_t* result) noexcept;
    static int take_record(void* watched, void* data, std::size_t bytes);
};

namespace {

constexpr std::uint32_t kMaxTableBytes = 4096; // far more than any contract of this major will need
constexpr std::int32_t kMaxErrno = 4095;
// Each keeps a thread, a library and a loaded object; nobody shall pile them up by asking again and again.
constexpr unsigned kMaxLeftBehind = 4;
// Records that are handed over before calls get their turn.
constexpr std::size_t kRecordsAtOnce = 64;

// A callback's result as a negative errno; whatever is none becomes EINVAL.
std::int32_t as_errno(std::int32_t code) {
    return code < 0 && code >= -kMaxErrno ? code : -EINVAL;
}

// Calls that are no callbacks of their own name.
constexpr const char* kLoading = "its library's constructors";
constexpr const char* kUnloading = "its library's destructors";
constexpr const char* kEvents = "an event handler";

// Where it happened, as a sentence names it.
std::string place(std::string_view callback) {
    const bool named = callback != kLoading && callback != kUnloading && callback != kEvents;
    return named ? fmt::format("its {}() callback", callback) : std::string(callback);
}

bool is_statistic_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               c == '-';
    });
}

bool is_zero(const void* bytes, std::size_t from, std::size_t to) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    return std::all_of(at + from, at + to, [](unsigned char byte) { return byte == 0; });
}

// Copies a plugin's callback table, which may be older and shorter than ours.
Result<scxhost_plugin_callbacks> copy_callbacks(const scxhost_plugin_callbacks* table) {
    scxhost_plugin_callbacks result{};
    if (table == nullptr)
        return result;
    // A size within a pointer would let half of it be called.
    if (table->size < offsetof(scxhost_plugin_callbacks, create) || table->size > kMaxTableBytes ||
        table->size % alignof(scxhost_plugin_callbacks) != 0)
        return fail(ErrorKind::kPlugin, fmt::format("its table of callbacks says it has {} bytes", table->size),
                    "rebuild the plugin");
    if (table->size > sizeof result && !is_zero(table, sizeof result, table->size))
        return fail(ErrorKind::kPlugin, "its table has callbacks that this host does not know", "use a newer scxhost");
    std::memcpy(&result, table, std::min<std::size_t>(table->size, sizeof result));
    return result;
}

Result<const scxhost_plugin_descriptor*> read_descriptor(boost::dll::shared_library& library, const PluginFile& file) {
    if (!library.has(SCXHOST_PLUGIN_ENTRY))
        return fail(ErrorKind::kPlugin, fmt::format("it does not export {}()", SCXHOST_PLUGIN_ENTRY),
                    "build it with scx_add_plugin()");
    const auto entry = library.get<const scxhost_plugin_descriptor*()>(SCXHOST_PLUGIN_ENTRY);
    const scxhost_plugin_descriptor* descriptor = nullptr;
    try {
        descriptor = entry();
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (...) {
        return fail(ErrorKind::kPlugin, fmt::format("it let an exception escape from {}()", SCXHOST_PLUGIN_ENTRY),
                    "build it with scx_add_plugin()");
    }
    if (descriptor == nullptr || descriptor->size < sizeof(scxhost_plugin_descriptor) ||
        descriptor->size > kMaxTableBytes || descriptor->info == nullptr)
        return fail(ErrorKind::kPlugin, "its descriptor is damaged", "rebuild the plugin");
    if (!is_zero(descriptor, sizeof(scxhost_plugin_descriptor), descriptor->size))
        return fail(ErrorKind::kPlugin, "its descriptor uses fields that this host does not know",
                    "use a newer scxhost");
    // The library in memory must be the file that was checked.
    if (std::strncmp(descriptor->info->name, file.info.name.c_str(), SCXHOST_NAME_MAX) != 0 ||
        descriptor->object_bytes != file.object.size() || descriptor->object == nullptr ||
        std::memcmp(descriptor->object, file.object.data(), file.object.size()) != 0)
        return fail(ErrorKind::kPlugin, "its descriptor differs from what its file says",
                    "the file was replaced while it was being loaded, or the plugin is damaged: try again, rebuild it");
    return descriptor;
}

} // namespace

Error Plugin::State::failure(std::string_view goal, std::int32_t code) const {
    return {.kind = ErrorKind::kPlugin,
            .what = fmt::format("plugin '{}' failed to {}: {}", name, goal,
                                reported.empty() ? error_number_text(-code) : reported),
            .hint = reported_hint,
            .sys_errno = -code};
}

Error Plugin::State::escaped_exception(std::string_view method) const {
    return {.kind = ErrorKind::kPlugin,
            .what = fmt::format("plugin '{}' let an exception escape from {}", name, place(method)),
            .hint = "its author must catch exceptions in callbacks, as the SDK's base class does"};
}

// The SDK's shims catch; a plugin in plain C++ might not, and what it throws must end here at the latest. The end of
// the thread itself (pthread_exit() in a callback) is no exception that may be caught: glibc ends the process for it.
// The call then counts as one that does not return.
template <typename Function>
Result<> Plugin::State::guarded(std::string_view method, std::string_view goal, Function&& function) {
    reported.clear();
    reported_hint.clear();
    try {
        const std::int32_t code = function();
        return code == 0 ? Result<>() : fail(failure(goal, as_errno(code)));
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (...) {
        return fail(escaped_exception(method));
    }
}

Result<> Plugin::State::load(const PluginFile& file) {
    copy = SCXHOST_TRY(make_memory_file(file.path.filename().string(), file.bytes));
    const std::string path = fmt::format("/proc/self/fd/{}", copy.get());
    // rtld_now: an unresolved symbol shows here and not in the middle of a swap.
    boost::dll::fs::error_code error;
    library.load(boost::dll::fs::path(path), error,
                 boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (error) {
        const char* proc = "/proc/self/fd";
        if (::access(proc, F_OK) != 0)
            return fail(ErrorKind::kUnsupported,
                        fmt::format("a plugin is loaded through {}, and there is none: /proc is not mounted", proc),
                        "mount it: mount -t proc proc /proc");
        // Boost.DLL's code for every failure is EBADF; the loader's own words say what is missing.
        const char* reason = ::dlerror();
        std::string what = reason != nullptr ? reason : error.message();
        if (what.starts_with(path))
            what.replace(0, path.size(), file.path.string());
        return fail(ErrorKind::kPlugin, std::move(what));
    }
    const scxhost_plugin_descriptor* descriptor = SCXHOST_TRY(read_descriptor(library, file));
    callbacks = SCXHOST_TRY(copy_callbacks(descriptor->callbacks));
    host = {.size = sizeof(scxhost_host),
            .contract_major = SCXHOST_CONTRACT_MAJOR,
            .contract_minor = SCXHOST_CONTRACT_MINOR,
            .context = this,
            .log = log_line,
            .report_error = report_error,
            .find_variable = find_variable,
            .find_map = find_map,
            .add_statistic = add_statistic,
            .set_statistic = set_statistic,
            .watch_events = watch_events,
            .run_program = run_program};
    return {};
}

Result<> Plugin::State::create() {
    if (callbacks.create != nullptr)
        SCXHOST_TRY(guarded("create", "start", [this] { return callbacks.create(&host, &instance); }));
    created = true;
    return {};
}

namespace {

struct CallbackRow {
    const char* name;
    const char* goal; // after "failed to"
    std::int32_t (*scxhost_plugin_callbacks::*function)(void*);
};

const CallbackRow& row(PluginCallback callback) {
    static constexpr std::array<CallbackRow, 5> kRows = {{
        {"configure", "configure", &scxhost_plugin_callbacks::configure},
        {"loaded", "prepare after loading", &scxhost_plugin_callbacks::loaded},
        {"attached", "take note of the attach", &scxhost_plugin_callbacks::attached},
        {"tick", "do its periodic work", &scxhost_plugin_callbacks::tick},
        {"detaching", "prepare for detaching", &scxhost_plugin_callbacks::detaching},
    }};
    return kRows.at(static_cast<std::size_t>(callback));
}

} // namespace

Result<> Plugin::State::call(PluginCallback callback) {
    Result<> result;
    if (const auto function = callbacks.*row(callback).function; function != nullptr)
        result = guarded(row(callback).name, row(callback).goal, [&] { return function(instance); });
    if (callback == PluginCallback::kLoaded)
        statistics_are_final = true;
    return result;
}

void Plugin::State::release_object() {
    PluginThread::unwatch();
    ring.reset();
    object.reset();
}

void Plugin::State::end() {
    release_object();
    if (created && callbacks.destroy != nullptr) {
        try {
            callbacks.destroy(instance);
        } catch (const abi::__forced_unwind&) {
            throw;
        } catch (...) { // NOLINT(bugprone-empty-catch): nothing is left to tell, and the library goes now
        }
    }
}

void Plugin::State::say(int level, std::string_view message) {
    const std::scoped_lock lock(log_mutex);
    if (log)
        log(level, name, message);
}

PluginAllowances PluginAllowances::of_contract() {
    return {.preparing = std::chrono::milliseconds(SCXHOST_PREPARING_MS),
            .running = std::chrono::milliseconds(SCXHOST_RUNNING_MS)};
}

Plugin::Plugin(std::shared_ptr<State> state, std::unique_ptr<PluginThread> thread, PluginAllowances allowances)
    : state_(std::move(state))
    , thread_(std::move(thread))
    , allowances_(allowances) {}

Plugin::~Plugin() {
    const std::optional<PluginHang> known = hang();
    bool ended = thread_->end(
        "destroy", known ? std::chrono::nanoseconds{} : allowances_.preparing,
        [state = state_]() -> Result<> {
            state->end();
            return {};
        },
        [state = state_] { state->library.unload(); });
    // What nobody has heard of yet: detaching() after an ejection, for one.
    for (const PluginThread::Outcome& outcome : thread_->outcomes())
        if (!outcome.result)
            state_->say(SCXHOST_LOG_WARNING, outcome.result.error().what);
    if (ended)
        ended = unload();
    if (ended)
        return;
    // Its thread may return when those who listen are gone.
    if (!known)
        state_->say(SCXHOST_LOG_ERROR, not_returned("destroy").what);
    const std::scoped_lock lock(state_->log_mutex);
    state_->log = nullptr;
}

// The library's destructors are code of the plugin too. Objects that its threads had (thread_local) keep it from being
// unloaded: its own thread has to be gone before, and another one like it does this.
bool Plugin::unload() {
    Result<std::unique_ptr<PluginThread>> thread = PluginThread::start("scx/" + state_->name);
    if (!thread)
        return true; // with the state, here
    thread_ = *std::move(thread);
    return thread_->end(
        kUnloading, allowances_.preparing,
        [state = state_]() -> Result<> {
            state->library.unload();
            return {};
        },
        [] {});
}

Result<std::unique_ptr<Plugin>> Plugin::load(const PluginFile& file, std::shared_ptr<SchedulerObject> object,
                                             PluginLogSink log, PluginAllowances allowances) {
    const auto refuse = [&](Error error) {
        error.what = fmt::format("cannot use plugin {}: {}", file.path.string(), error.what);
        return fail(std::move(error));
    };
    if (PluginThread::left_behind() >= kMaxLeftBehind)
        return refuse({.kind = ErrorKind::kPlugin,
                       .what = fmt::format("{} plugins that hang are in this process already", kMaxLeftBehind),
                       .hint = "restart scxhost to be rid of them"});
    auto state = std::make_shared<State>();
    state->name = file.info.name;
    state->log = std::move(log);
    state->object = std::move(object);
    state->allowances = allowances;
    std::unique_ptr<PluginThread> thread = SCXHOST_TRY(PluginThread::start("scx/" + file.info.name));
    std::unique_ptr<Plugin> plugin(new Plugin(state, std::move(thread), allowances));

    // Constructors run here, before the first check that the library itself could answer.
    if (Result<> loaded = plugin->run(kLoading, allowances.preparing, [state, file] { return state->load(file); });
        !loaded)
        return refuse(std::move(loaded).error());
    SCXHOST_TRY(plugin->run("create", allowances.preparing, [state] { return state->create(); }));
    return plugin;
}

std::chrono::nanoseconds Plugin::allowance(PluginCallback callback) const {
    const bool prepares = callback == PluginCallback::kConfigure || callback == PluginCallback::kLoaded;
    return prepares ? allowances_.preparing : allowances_.running;
}

PluginThread::Call Plugin::bind(PluginCallback callback) const {
    return [state = state_, callback] { return state->call(callback); };
}

Result<> Plugin::run(const char* callback, std::chrono::nanoseconds allowance, PluginThread::Call call) {
    if (const std::optional<PluginHang> earlier = hang()) {
        thread_->post(callback, allowance, std::move(call));
        return fail(earlier->error);
    }
    std::optional<Result<>> result = thread_->run(callback, allowance, std::move(call));
    return result ? *std::move(result) : fail(not_returned(callback));
}

Result<> Plugin::call(PluginCallback callback) {
    return run(row(callback).name, allowance(callback), bind(callback));
}

void Plugin::post(PluginCallback callback) {
    thread_->post(row(callback).name, allowance(callback), bind(callback));
}

void Plugin::release_object() {
    // What is not done in time is done when the plugin returns.
    (void)run("release", allowances_.running, [state = state_]() -> Result<> {
        state->release_object();
        return {};
    });
}

bool Plugin::has(PluginCallback callback) const {
    return state_->callbacks.*row(callback).function != nullptr;
}

namespace {

PluginHang hang_of(const std::string& plugin, const PluginThread::Current& call) {
    const auto seconds = [](std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); };
    return {.callback = call.callback,
            .since = call.since,
            .cpu = call.cpu,
            .error = {.kind = ErrorKind::kPlugin,
                      .what = fmt::format("plugin '{}' hangs in {}: it has not returned for {:.1f} s, {:.1f} s of them "
                                          "on a CPU",
                                          plugin, place(call.callback), seconds(call.since), seconds(call.cpu)),
                      .hint = "what takes long belongs on a thread of the plugin's own (docs/contract.md)",
                      .sys_errno = ETIMEDOUT}};
}

} // namespace

std::optional<PluginHang> Plugin::hang() const {
    const std::optional<PluginThread::Current> call = thread_->current();
    return call && call->hangs ? std::optional(hang_of(state_->name, *call)) : std::nullopt;
}

// `callback` was waited for in vain: to blame is what its thread does.
Error Plugin::not_returned(const char* callback) const {
    if (const std::optional<PluginThread::Current> call = thread_->current())
        return hang_of(state_->name, *call).error;
    return {.kind = ErrorKind::kPlugin,
            .what = fmt::format("plugin '{}' was not done with {} in time: its thread did not get that far",
                                state_->name, place(callback)),
            .hint = "the machine may be short of CPU time",
            .sys_errno = ETIMEDOUT};
}

const std::vector<StatisticDeclaration>& Plugin::statistics() const {
    return state_->statistics;
}

void Plugin::append_values(std::vector<std::int64_t>& values) const {
    for (std::size_t i = 0; i < state_->statistics.size(); ++i)
        values.push_back(state_->values[i].load(std::memory_order_relaxed));
}

void Plugin::State::log_line(void* context, std::int32_t level, const char* message) noexcept {
    try {
        if (message != nullptr)
            static_cast<State*>(context)->say(level, message);
    } catch (...) { // NOLINT(bugprone-empty-catch): a log line that cannot be written is lost, the plugin goes on
    }
}

void Plugin::State::report_error(void* context, const char* message, const char* hint) noexcept {
    auto& state = *static_cast<State*>(context);
    try {
        state.reported = message == nullptr ? "" : message;
        state.reported_hint = hint == nullptr ? "" : hint;
    } catch (...) { // NOLINT(bugprone-empty-catch): out of memory; the errno remains
    }
}

std::int32_t Plugin::State::find_variable(void* context, const char* name, scxhost_variable* out) noexcept {
    const auto& state = *static_cast<State*>(context);
    if (name == nullptr || out == nullptr || out->size < sizeof(scxhost_variable))
        return -EINVAL;
    const VariablePlace* place = state.object == nullptr ? nullptr : state.object->btf().find_variable(name);
    if (place == nullptr)
        return -ENOENT;
    const std::span<std::byte> bytes = state.object->variable_bytes(*place);
    if (bytes.empty())
        return -ENOENT;
    out->writable = !(state.object->loaded() && place->section.starts_with(".rodata")) ? 1 : 0;
    out->data = bytes.data();
    out->bytes = bytes.size();
    return 0;
}

std::int32_t Plugin::State::find_map(void* context, const char* name, scxhost_map* out) noexcept {
    const auto& state = *static_cast<State*>(context);
    if (name == nullptr || out == nullptr || out->size < sizeof(scxhost_map))
        return -EINVAL;
    const bpf_map* map = state.object == nullptr ? nullptr : state.object->find_map(name);
    if (map == nullptr)
        return -ENOENT;
    if (!state.object->loaded())
        return -EAGAIN;
    out->fd = bpf_map__fd(map);
    out->type = bpf_map__type(map);
    out->key_size = bpf_map__key_size(map);
    out->value_size = bpf_map__value_size(map);
    out->max_entries = bpf_map__max_entries(map);
    return 0;
}

std::int32_t Plugin::State::add_statistic(void* context, const scxhost_statistic* statistic) noexcept {
    auto& state = *static_cast<State*>(context);
    if (statistic == nullptr || statistic->size < sizeof(scxhost_statistic) || statistic->kind > SCXHOST_GAUGE ||
        statistic->name == nullptr || !is_statistic_name(statistic->name))
        return -EINVAL;
    if (state.statistics_are_final || state.object == nullptr)
        return -EBUSY;
    const auto is_this = [&](const StatisticDeclaration& other) { return other.name == statistic->name; };
    if (std::ranges::any_of(state.statistics, is_this) ||
        std::ranges::any_of(state.object->declarations().statistics, is_this))
        return -EEXIST;
    if (state.statistics.size() >= SCXHOST_STATISTICS_MAX)
        return -ENOSPC;
    const auto text = [](const char* given) { return given == nullptr ? std::string() : std::string(given); };
    try {
        StatisticDeclaration added;
        added.name = statistic->name;
        added.kind = statistic->kind == SCXHOST_COUNTER ? StatisticKind::kCounter : StatisticKind::kGauge;
        added.help = text(statistic->help);
        added.unit = text(statistic->unit);
        added.group = text(statistic->group);
        added.home = StatisticDeclaration::Home::kPlugin;
        state.statistics.push_back(std::move(added));
    } catch (...) {
        return -ENOMEM;
    }
    return state.nr_values.fetch_add(1);
}

std::int32_t Plugin::State::set_statistic(void* context, std::int32_t number, std::int64_t value) noexcept {
    auto& state = *static_cast<State*>(context);
    if (number < 0 || number >= state.nr_values.load())
        return -EINVAL;
    state.values.at(static_cast<std::size_t>(number)).store(value, std::memory_order_relaxed);
    return 0;
}

std::int32_t Plugin::State::watch_events(void* context, const char* map, scxhost_event_handler handler,
                                         void* cookie) noexcept {
    auto& state = *static_cast<State*>(context);
    scxhost_map found{};
    found.size = sizeof found;
    if (const std::int32_t error = find_map(context, map, &found); error != 0)
        return error;
    if (handler == nullptr || found.type != BPF_MAP_TYPE_RINGBUF)
        return -EINVAL;
    try {
        const auto [entry, is_new] = state.watched.try_emplace(map, Watched{&state, handler, cookie});
        if (!is_new)
            return -EEXIST;
        int error = 0;
        if (state.ring != nullptr) {
            error = ring_buffer__add(state.ring.get(), found.fd, take_record, &entry->second);
        } else if (ring_buffer* made = ring_buffer__new(found.fd, take_record, &entry->second, nullptr)) {
            state.ring.reset(made);
            // By the plugin's own thread: however many records come, the event loop has no part in it.
            PluginThread::watch(ring_buffer__epoll_fd(made), kEvents, state.allowances.running,
                                [&state] { return state.deliver_events(); });
        } else {
            error = -errno;
        }
        if (error != 0)
            state.watched.erase(entry);
        return error;
    } catch (...) {
        return -ENOMEM;
    }
}

Result<> Plugin::State::deliver_events() {
    event_failure.reset();
    // 0 and more: how many records came.
    if (const int count = ring_buffer__consume_n(ring.get(), kRecordsAtOnce); count < 0)
        return fail_errno(ErrorKind::kPlugin, fmt::format("cannot read events of plugin '{}'", name), -count);
    if (event_failure)
        return fail(*std::exchange(event_failure, std::nullopt));
    return {};
}

// A failure never keeps the records after it from being delivered.
int Plugin::State::take_record(void* opaque, void* data, std::size_t bytes) {
    auto& watch = *static_cast<Watched*>(opaque);
    try {
        Result<> result =
            watch.state->guarded(kEvents, "handle an event", [&] { return watch.handler(watch.cookie, data, bytes); });
        if (!result)
            watch.state->event_failure = std::move(result).error();
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (...) { // NOLINT(bugprone-empty-catch): out of memory while its failure was put into words
    }
    return 0;
}

std::int32_t Plugin::State::run_program(void* context, const char* program, void* argument, std::size_t bytes,
                                        std::int32_t* result) noexcept {
    const auto& state = *static_cast<State*>(context);
    if (program == nullptr || bytes > UINT16_MAX || (argument == nullptr && bytes > 0))
        return -EINVAL;
    const bpf_program* found = state.object == nullptr ? nullptr : state.object->find_program(program);
    if (found == nullptr)
        return -ENOENT;
    if (bpf_program__type(found) != BPF_PROG_TYPE_SYSCALL)
        return -EINVAL;
    if (!state.object->loaded())
        return -EAGAIN;
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.ctx_in = argument; // the kernel writes it back there
    options.ctx_size_in = static_cast<std::uint32_t>(bytes);
    if (::bpf_prog_test_run_opts(bpf_program__fd(found), &options) != 0)
        return -errno;
    if (result != nullptr)
        *result = static_cast<std::int32_t>(options.retval);
    return 0;
}

} // namespace scxhost

// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin_instance.hpp"

#include "host/bpf/scheduler_object.hpp"
#include "host/plugins/plugin_thread.hpp"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <span>
#include <utility>

namespace scxhost {
namespace {

constexpr std::int32_t kMaxErrno = 4095;
// Records that are handed over before calls get their turn.
constexpr std::size_t kRecordsAtOnce = 64;

// A callback's result as a negative errno; whatever is none becomes EINVAL.
std::int32_t as_errno(std::int32_t code) {
    return code < 0 && code >= -kMaxErrno ? code : -EINVAL;
}

bool is_statistic_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               c == '-';
    });
}

} // namespace

Error PluginInstance::failure(std::string_view goal, std::int32_t code) const {
    return {.kind = ErrorKind::kPlugin,
            .what = fmt::format("plugin '{}' failed to {}: {}", name_, goal,
                                reported_.empty() ? error_number_text(-code) : reported_),
            .hint = reported_hint_,
            .sys_errno = -code};
}

Error PluginInstance::escaped_exception(std::string_view method) const {
    return {.kind = ErrorKind::kPlugin,
            .what = fmt::format("plugin '{}' let an exception escape from {}", name_, describe_call(method)),
            .hint = "its author must catch exceptions in callbacks, as the SDK's base class does"};
}

// The SDK's shims catch; a plugin in plain C++ might not, and what it throws must end here at the latest. The end of
// the thread itself (pthread_exit() in a callback) is no exception that may be caught: glibc ends the process for it.
// The call then counts as one that does not return.
template <typename Function>
Result<> PluginInstance::guarded(std::string_view method, std::string_view goal, Function&& function) {
    reported_.clear();
    reported_hint_.clear();
    try {
        const std::int32_t code = function();
        return code == 0 ? Result<>() : fail(failure(goal, as_errno(code)));
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (...) {
        return fail(escaped_exception(method));
    }
}

PluginInstance::PluginInstance(std::string name, std::shared_ptr<SchedulerObject> object, PluginLogSink log,
                               PluginAllowances allowances)
    : name_(std::move(name))
    , allowances_(allowances)
    , object_(std::move(object))
    , log_(std::move(log)) {}

PluginInstance::~PluginInstance() = default;

Result<> PluginInstance::load(const PluginFile& file) {
    SCXHOST_TRY(library_.load(file));
    host_ = {.size = sizeof(scxhost_host),
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
             .run_program = run_program,
             .resize = resize,
             .set_flag = set_flag};
    return {};
}

Result<> PluginInstance::create() {
    if (library_.callbacks().create != nullptr)
        SCXHOST_TRY(guarded("create", "start", [this] { return library_.callbacks().create(&host_, &instance_); }));
    created_ = true;
    return {};
}

namespace {

struct CallbackRow {
    const char* goal; // after "failed to"
    std::int32_t (*scxhost_plugin_callbacks::*function)(void*);
};

// In the order of PluginCallback.
constexpr std::array<CallbackRow, 5> kRows = {{
    {"configure", &scxhost_plugin_callbacks::configure},
    {"prepare after loading", &scxhost_plugin_callbacks::loaded},
    {"take note of the attach", &scxhost_plugin_callbacks::attached},
    {"do its periodic work", &scxhost_plugin_callbacks::tick},
    {"prepare for detaching", &scxhost_plugin_callbacks::detaching},
}};

const CallbackRow& row(PluginCallback callback) {
    return kRows.at(static_cast<std::size_t>(callback));
}

} // namespace

bool PluginInstance::has(PluginCallback callback) const {
    return library_.callbacks().*row(callback).function != nullptr;
}

bool PluginInstance::has_callbacks() const {
    const scxhost_plugin_callbacks& callbacks = library_.callbacks();
    return callbacks.create != nullptr ||
           std::ranges::any_of(kRows, [&](const CallbackRow& row) { return callbacks.*row.function != nullptr; });
}

Result<> PluginInstance::call(PluginCallback callback) {
    Result<> result;
    if (const auto function = library_.callbacks().*row(callback).function; function != nullptr)
        result = guarded(name_of(callback), row(callback).goal, [&] { return function(instance_); });
    if (callback == PluginCallback::kLoaded)
        statistics_are_final_ = true;
    return result;
}

void PluginInstance::release_object() {
    PluginThread::unwatch();
    ring_.reset();
    object_.reset();
}

void PluginInstance::end() {
    release_object();
    if (created_ && library_.callbacks().destroy != nullptr) {
        try {
            library_.callbacks().destroy(instance_);
        } catch (const abi::__forced_unwind&) {
            throw;
        } catch (...) { // NOLINT(bugprone-empty-catch): nothing is left to tell, and the library goes now
        }
    }
}

void PluginInstance::log(int level, std::string_view message) {
    const std::scoped_lock lock(log_mutex_);
    if (log_)
        log_(level, name_, message);
}

void PluginInstance::silence() {
    const std::scoped_lock lock(log_mutex_);
    log_ = nullptr;
}

void PluginInstance::append_values(std::vector<std::int64_t>& values) const {
    for (std::size_t i = 0; i < statistics_.size(); ++i)
        values.push_back(values_[i].load(std::memory_order_relaxed));
}

void PluginInstance::log_line(void* context, std::int32_t level, const char* message) noexcept {
    try {
        if (message != nullptr)
            static_cast<PluginInstance*>(context)->log(level, message);
    } catch (...) { // NOLINT(bugprone-empty-catch): a log line that cannot be written is lost, the plugin goes on
    }
}

void PluginInstance::report_error(void* context, const char* message, const char* hint) noexcept {
    auto& self = *static_cast<PluginInstance*>(context);
    try {
        self.reported_ = message == nullptr ? "" : message;
        self.reported_hint_ = hint == nullptr ? "" : hint;
    } catch (...) { // NOLINT(bugprone-empty-catch): out of memory; the errno remains
    }
}

std::int32_t PluginInstance::find_variable(void* context, const char* name, scxhost_variable* out) noexcept {
    const auto& self = *static_cast<PluginInstance*>(context);
    if (name == nullptr || out == nullptr || out->size < sizeof(scxhost_variable))
        return -EINVAL;
    const VariablePlace* place = self.object_ == nullptr ? nullptr : self.object_->btf().find_variable(name);
    if (place == nullptr)
        return -ENOENT;
    const std::span<std::byte> bytes = self.object_->variable_bytes(*place);
    if (bytes.empty())
        return -ENOENT;
    out->writable = !(self.object_->loaded() && place->section.starts_with(".rodata")) ? 1 : 0;
    out->data = bytes.data();
    out->bytes = bytes.size();
    return 0;
}

std::int32_t PluginInstance::find_map(void* context, const char* name, scxhost_map* out) noexcept {
    const auto& self = *static_cast<PluginInstance*>(context);
    if (name == nullptr || out == nullptr || out->size < sizeof(scxhost_map))
        return -EINVAL;
    const bpf_map* map = self.object_ == nullptr ? nullptr : self.object_->find_map(name);
    if (map == nullptr)
        return -ENOENT;
    if (!self.object_->loaded())
        return -EAGAIN;
    out->fd = bpf_map__fd(map);
    out->type = bpf_map__type(map);
    out->key_size = bpf_map__key_size(map);
    out->value_size = bpf_map__value_size(map);
    out->max_entries = bpf_map__max_entries(map);
    return 0;
}

std::int32_t PluginInstance::add_statistic(void* context, const scxhost_statistic* statistic) noexcept {
    auto& self = *static_cast<PluginInstance*>(context);
    if (statistic == nullptr || statistic->size < sizeof(scxhost_statistic) || statistic->kind > SCXHOST_GAUGE ||
        statistic->name == nullptr || !is_statistic_name(statistic->name))
        return -EINVAL;
    if (self.statistics_are_final_ || self.object_ == nullptr)
        return -EBUSY;
    const auto is_this = [&](const StatisticDeclaration& other) { return other.name == statistic->name; };
    if (std::ranges::any_of(self.statistics_, is_this) ||
        std::ranges::any_of(self.object_->declarations().statistics, is_this))
        return -EEXIST;
    if (self.statistics_.size() >= SCXHOST_STATISTICS_MAX)
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
        self.statistics_.push_back(std::move(added));
    } catch (...) {
        return -ENOMEM;
    }
    return self.nr_values_.fetch_add(1);
}

std::int32_t PluginInstance::set_statistic(void* context, std::int32_t number, std::int64_t value) noexcept {
    auto& self = *static_cast<PluginInstance*>(context);
    if (number < 0 || number >= self.nr_values_.load())
        return -EINVAL;
    self.values_.at(static_cast<std::size_t>(number)).store(value, std::memory_order_relaxed);
    return 0;
}

std::int32_t PluginInstance::watch_events(void* context, const char* map, scxhost_event_handler handler,
                                          void* cookie) noexcept {
    auto& self = *static_cast<PluginInstance*>(context);
    scxhost_map found{};
    found.size = sizeof found;
    if (const std::int32_t error = find_map(context, map, &found); error != 0)
        return error;
    if (handler == nullptr || found.type != BPF_MAP_TYPE_RINGBUF)
        return -EINVAL;
    try {
        const auto [entry, is_new] = self.watched_.try_emplace(map, Watched{&self, handler, cookie});
        if (!is_new)
            return -EEXIST;
        int error = 0;
        if (self.ring_ != nullptr) {
            error = ring_buffer__add(self.ring_.get(), found.fd, take_record, &entry->second);
        } else if (ring_buffer* made = ring_buffer__new(found.fd, take_record, &entry->second, nullptr)) {
            self.ring_.reset(made);
            // By the plugin's own thread: however many records come, the event loop has no part in it.
            PluginThread::watch(ring_buffer__epoll_fd(made), kEventCall, self.allowances_.running,
                                [&self] { return self.deliver_events(); });
        } else {
            error = -errno;
        }
        if (error != 0)
            self.watched_.erase(entry);
        return error;
    } catch (...) {
        return -ENOMEM;
    }
}

Result<> PluginInstance::deliver_events() {
    event_failure_.reset();
    // 0 and more: how many records came.
    if (const int count = ring_buffer__consume_n(ring_.get(), kRecordsAtOnce); count < 0)
        return fail_errno(ErrorKind::kPlugin, fmt::format("cannot read events of plugin '{}'", name_), -count);
    if (event_failure_)
        return fail(*std::exchange(event_failure_, std::nullopt));
    return {};
}

// A failure never keeps the records after it from being delivered.
int PluginInstance::take_record(void* opaque, void* data, std::size_t bytes) {
    auto& watch = *static_cast<Watched*>(opaque);
    try {
        Result<> result = watch.instance->guarded(kEventCall, "handle an event",
                                                  [&] { return watch.handler(watch.cookie, data, bytes); });
        if (!result)
            watch.instance->event_failure_ = std::move(result).error();
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (...) { // NOLINT(bugprone-empty-catch): out of memory while its failure was put into words
    }
    return 0;
}

std::int32_t PluginInstance::run_program(void* context, const char* program, void* argument, std::size_t bytes,
                                         std::int32_t* result) noexcept {
    const auto& self = *static_cast<PluginInstance*>(context);
    if (program == nullptr || bytes > UINT16_MAX || (argument == nullptr && bytes > 0))
        return -EINVAL;
    if (self.object_ == nullptr)
        return -ENOENT;
    try {
        const Result<std::int32_t> returned =
            self.object_->run_program(program, {static_cast<std::byte*>(argument), bytes});
        if (!returned)
            return -returned.error().sys_errno;
        if (result != nullptr)
            *result = *returned;
        return 0;
    } catch (...) {
        return -ENOMEM;
    }
}

std::int32_t PluginInstance::resize(void* context, const char* name, std::uint32_t entries) noexcept {
    const auto& self = *static_cast<PluginInstance*>(context);
    if (name == nullptr || entries == 0)
        return -EINVAL;
    if (self.object_ == nullptr)
        return -ENOENT;
    if (self.object_->loaded())
        return -EBUSY;
    try {
        const Result<> done = self.object_->resize(name, entries);
        return done ? 0 : -done.error().sys_errno;
    } catch (...) {
        return -ENOMEM;
    }
}

std::int32_t PluginInstance::set_flag(void* context, const char* flag) noexcept {
    const auto& self = *static_cast<PluginInstance*>(context);
    if (flag == nullptr || !std::string_view(flag).starts_with("SCX_OPS_"))
        return -EINVAL;
    if (self.object_ == nullptr)
        return -ENOENT;
    if (self.object_->loaded())
        return -EBUSY;
    try {
        const Result<bool> known = self.object_->add_flag(flag);
        if (!known)
            return -EINVAL;
        return *known ? 0 : -ENOENT;
    } catch (...) {
        return -ENOMEM;
    }
}

} // namespace scxhost

// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin.hpp"

#include "host/base/memory_file.hpp"
#include "host/bpf/scheduler_object.hpp"
#include <scxhost/plugin.h>

#include <boost/dll/shared_library.hpp>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace scxhost {

struct Plugin::State {
    std::string name;
    PluginLogSink log;
    SchedulerObject* object = nullptr; // null once it is closed
    // The library is loaded from a copy of the bytes that were checked. From the file itself, a build or an
    // installation that writes into it would change code that runs; and two builds of one file, as in a swap, would be
    // one to the loader. Kept open: the loader knows libraries by their paths, and this one's has the descriptor in it.
    UniqueFd copy;
    boost::dll::shared_library library;
    scxhost_plugin_callbacks callbacks{};
    scxhost_host host{};
    void* instance = nullptr;
    bool created = false;
    std::string reported;
    std::string reported_hint;

    // `goal` is what the callback is for, after "failed to".
    Result<> call(std::string_view method, std::string_view goal, std::int32_t (*callback)(void*));
    Error failure(std::string_view goal, std::int32_t code) const;
    Error escaped_exception(std::string_view method) const;

    // What plugins call, with this state as the context. The calls come from foreign code: nothing may throw out of
    // them, and nothing passed in is trusted to be there.
    static void log_line(void* context, std::int32_t level, const char* message) noexcept;
    static void report_error(void* context, const char* message, const char* hint) noexcept;
    static std::int32_t find_variable(void* context, const char* name, scxhost_variable* out) noexcept;
    static std::int32_t find_map(void* context, const char* name, scxhost_map* out) noexcept;
};

namespace {

constexpr std::uint32_t kMaxTableBytes = 4096; // far more than any contract of this major will need
constexpr std::int32_t kMaxErrno = 4095;

// A callback's result as a negative errno; whatever is none becomes EINVAL.
std::int32_t as_errno(std::int32_t code) {
    return code < 0 && code >= -kMaxErrno ? code : -EINVAL;
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
                                reported.empty() ? std::generic_category().message(-code) : reported),
            .hint = reported_hint,
            .sys_errno = -code};
}

Error Plugin::State::escaped_exception(std::string_view method) const {
    return {.kind = ErrorKind::kPlugin,
            .what = fmt::format("plugin '{}' let an exception escape from its {}() callback", name, method),
            .hint = "its author must catch exceptions in callbacks, as the SDK's base class does"};
}

Result<> Plugin::State::call(std::string_view method, std::string_view goal, std::int32_t (*callback)(void*)) {
    if (callback == nullptr)
        return {};
    reported.clear();
    reported_hint.clear();
    // The SDK's shims catch; a plugin in plain C++ might not, and what it throws must end here at the latest.
    try {
        const std::int32_t code = callback(instance);
        return code == 0 ? Result<>() : fail(failure(goal, as_errno(code)));
    } catch (...) {
        return fail(escaped_exception(method));
    }
}

Plugin::Plugin(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Plugin::~Plugin() {
    if (state_->created && state_->callbacks.destroy != nullptr) {
        try {
            state_->callbacks.destroy(state_->instance);
        } catch (...) { // NOLINT(bugprone-empty-catch): nothing is left to tell, and the library goes now
        }
    }
}

Result<std::unique_ptr<Plugin>> Plugin::load(const PluginFile& file, SchedulerObject& object, PluginLogSink log) {
    auto state = std::make_unique<State>();
    state->name = file.info.name;
    state->log = std::move(log);
    state->object = &object;
    const auto refuse = [&](Error error) {
        error.what = fmt::format("cannot use plugin {}: {}", file.path.string(), error.what);
        return fail(std::move(error));
    };

    Result<UniqueFd> copy = make_memory_file(file.path.filename().string(), file.library);
    if (!copy)
        return refuse(std::move(copy).error());
    state->copy = *std::move(copy);
    const std::string path = fmt::format("/proc/self/fd/{}", state->copy.get());
    // rtld_now: an unresolved symbol shows here and not in the middle of a swap.
    boost::dll::fs::error_code error;
    state->library.load(boost::dll::fs::path(path), error,
                        boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (error) {
        // Boost.DLL's code for every failure is EBADF; the loader's own words say what is missing.
        const char* reason = ::dlerror();
        std::string what = reason != nullptr ? reason : error.message();
        if (what.starts_with(path))
            what.replace(0, path.size(), file.path.string());
        return refuse({.kind = ErrorKind::kPlugin, .what = std::move(what)});
    }
    Result<const scxhost_plugin_descriptor*> descriptor = read_descriptor(state->library, file);
    if (!descriptor)
        return refuse(std::move(descriptor).error());
    Result<scxhost_plugin_callbacks> callbacks = copy_callbacks((*descriptor)->callbacks);
    if (!callbacks)
        return refuse(std::move(callbacks).error());
    state->callbacks = *callbacks;
    state->host = {.size = sizeof(scxhost_host),
                   .contract_major = SCXHOST_CONTRACT_MAJOR,
                   .contract_minor = SCXHOST_CONTRACT_MINOR,
                   .context = state.get(),
                   .log = State::log_line,
                   .report_error = State::report_error,
                   .find_variable = State::find_variable,
                   .find_map = State::find_map};

    std::unique_ptr<Plugin> plugin(new Plugin(std::move(state)));
    State& own = *plugin->state_;
    if (own.callbacks.create != nullptr) {
        try {
            if (const std::int32_t code = own.callbacks.create(&own.host, &own.instance); code != 0)
                return fail(own.failure("start", as_errno(code)));
        } catch (...) {
            return fail(own.escaped_exception("create"));
        }
    }
    own.created = true;
    return plugin;
}

Result<> Plugin::configure() {
    return state_->call("configure", "configure", state_->callbacks.configure);
}
Result<> Plugin::loaded() {
    return state_->call("loaded", "prepare after loading", state_->callbacks.loaded);
}
Result<> Plugin::attached() {
    return state_->call("attached", "take note of the attach", state_->callbacks.attached);
}
Result<> Plugin::tick() {
    return state_->call("tick", "do its periodic work", state_->callbacks.tick);
}
Result<> Plugin::detaching() {
    return state_->call("detaching", "prepare for detaching", state_->callbacks.detaching);
}
void Plugin::object_closed() {
    state_->object = nullptr;
}

void Plugin::State::log_line(void* context, std::int32_t level, const char* message) noexcept {
    const auto& state = *static_cast<State*>(context);
    try {
        if (state.log && message != nullptr)
            state.log(level, state.name, message);
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

} // namespace scxhost

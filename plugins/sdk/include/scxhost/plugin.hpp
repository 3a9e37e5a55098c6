// SPDX-License-Identifier: GPL-2.0-only
//
// The C++ side of the plugin contract, header-only, C++20. Derive from scxhost::sdk::Plugin, override what the policy
// needs, and name the class once with SCXHOST_PLUGIN(Class). Methods report failure by throwing sdk::Error (or any
// exception); the shims below turn every exception into an errno and a message, so none crosses the boundary.
#pragma once

#include <scxhost/plugin.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif

namespace scxhost::sdk {

// Why a callback fails, and what the user can do about it. `code` is a positive errno.
class Error : public std::runtime_error {
public:
    explicit Error(const std::string& what, std::string hint = {}, int code = EINVAL)
        : std::runtime_error(what)
        , hint_(std::move(hint))
        , code_(code) {}

    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
    [[nodiscard]] int code() const noexcept { return code_; }

private:
    std::string hint_;
    int code_;
};

// One of the plugin's own statistics. A view, like Host, but any thread may use it.
class Statistic {
public:
    void set(std::int64_t value) const { host_->set_statistic(host_->context, number_, value); }

private:
    friend class Host;
    Statistic(const scxhost_host& host, std::int32_t number)
        : host_(&host)
        , number_(number) {}

    const scxhost_host* host_;
    std::int32_t number_;
};

// What a statistic is called and what it means; all but `name` may be left out.
struct StatisticTexts {
    std::string name;
    std::string help = {};
    std::string unit = {};
    std::string group = {};
};

// The host as a plugin sees it. A view: cheap to copy, valid as long as the plugin instance. Use it only from within
// the plugin's methods.
class Host {
public:
    explicit Host(const scxhost_host& table)
        : table_(&table) {}

    void debug(const std::string& message) const { log(SCXHOST_LOG_DEBUG, message); }
    void info(const std::string& message) const { log(SCXHOST_LOG_INFO, message); }
    void warning(const std::string& message) const { log(SCXHOST_LOG_WARNING, message); }
    void error(const std::string& message) const { log(SCXHOST_LOG_ERROR, message); }

    // The bytes of a global variable of the BPF object. Throws Error when there is none of this name.
    [[nodiscard]] std::span<std::byte> bytes(const char* name) const {
        const scxhost_variable variable = find(name);
        return {static_cast<std::byte*>(variable.data), variable.bytes};
    }

    // The value of a global variable whose type is T in the BPF source. Throws Error when it is missing or of another
    // size.
    template <typename T>
    [[nodiscard]] T get(const char* name) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        std::memcpy(&value, checked(name, sizeof(T), false), sizeof(T));
        return value;
    }

    // Sets a global variable. Throws Error when it is missing, of another size, or read-only data after load.
    template <typename T>
    void set(const char* name, const T& value) const {
        static_assert(std::is_trivially_copyable_v<T>);
        std::memcpy(checked(name, sizeof(T), true), &value, sizeof(T));
    }

    // Gives a map so many entries, or an array that is the last variable of its data section so many elements; the
    // further ones are 0. In the constructor or configure(); bytes() of this section are void afterwards. Throws Error
    // when there is no such map or array, or it cannot have this size.
    void resize(const char* name, std::uint32_t entries) const {
        const int error = table_->resize(table_->context, name, entries);
        if (error != 0)
            throw Error(std::string("'") + name + "' cannot have " + std::to_string(entries) + " entries: " +
                            (error == -ENOENT   ? "there is no such map or array"
                             : error == -EBUSY  ? "the object is loaded"
                             : error == -EINVAL ? "it is no map with entries, nor the last array of its section"
                                                : reason(error)),
                        {}, -error);
    }

    // Adds a flag of sched_ext_ops, "SCX_OPS_ENQ_LAST". In the constructor or configure(). False: this kernel has none
    // of this name. Throws Error when it is the name of no flag, or the object is loaded.
    bool set_flag(const char* flag) const {
        const int error = table_->set_flag(table_->context, flag);
        if (error != 0 && error != -ENOENT)
            throw Error(std::string("flag '") + flag + "' cannot be set: " +
                            (error == -EBUSY ? "the object is loaded" : "flags are called SCX_OPS_…"),
                        {}, -error);
        return error == 0;
    }

    // A map of the loaded object. Throws Error when there is none of this name or the object is not loaded yet.
    [[nodiscard]] scxhost_map map(const char* name) const {
        scxhost_map map{};
        map.size = sizeof map;
        if (const int error = table_->find_map(table_->context, name, &map); error != 0)
            throw Error(std::string("BPF map '") + name + (error == -EAGAIN ? "' is not loaded yet" : "' not found"),
                        {}, -error);
        return map;
    }

    // Statistics of the plugin's own, shown beside those that the BPF object declares; at first 0. In the constructor,
    // configure() or loaded(). A counter grows and is shown with its rate. Throws Error when the name is taken or no
    // name.
    [[nodiscard]] Statistic counter(const StatisticTexts& texts) const { return add(SCXHOST_COUNTER, texts); }
    [[nodiscard]] Statistic gauge(const StatisticTexts& texts) const { return add(SCXHOST_GAUGE, texts); }

    // Runs a SEC("syscall") program of the loaded object with a copy of `argument` as its context, and brings back what
    // it makes of it. The program's result. Throws Error when there is none of this name, or it could not be run.
    template <typename T>
    std::int32_t run(const char* program, T& argument) const {
        static_assert(std::is_trivially_copyable_v<T>);
        return run(program, &argument, sizeof argument);
    }
    std::int32_t run(const char* program) const { return run(program, nullptr, 0); }

private:
    friend class Plugin;

    [[nodiscard]] Statistic add(scxhost_statistic_kind kind, const StatisticTexts& texts) const {
        const scxhost_statistic statistic = {.size = sizeof(scxhost_statistic),
                                             .kind = static_cast<std::uint32_t>(kind),
                                             .name = texts.name.c_str(),
                                             .help = texts.help.c_str(),
                                             .unit = texts.unit.c_str(),
                                             .group = texts.group.c_str()};
        const std::int32_t number = table_->add_statistic(table_->context, &statistic);
        if (number >= 0)
            return {*table_, number};
        const auto because = [&](const char* reason) {
            return Error("statistic '" + texts.name + "' " + reason, {}, -number);
        };
        switch (number) {
        case -EEXIST:
            throw because("is there already");
        case -EBUSY:
            throw because("comes too late: add it in the constructor, configure() or loaded()");
        case -ENOSPC:
            throw because("is one too many");
        default:
            throw because("needs a name of letters, digits, '_', '.' and '-'");
        }
    }

    std::int32_t run(const char* program, void* argument, std::size_t bytes) const {
        std::int32_t result = 0;
        const std::int32_t error = table_->run_program(table_->context, program, argument, bytes, &result);
        if (error != 0)
            throw Error(std::string("BPF program '") + program + "' cannot be run: " + reason(error), {}, -error);
        return result;
    }

    static std::string reason(std::int32_t error) {
        switch (error) {
        case -ENOENT:
            return "there is none of this name";
        case -EAGAIN:
            return "the object is not loaded yet";
        default:
            return std::generic_category().message(-error);
        }
    }

    void log(scxhost_log_level level, const std::string& message) const {
        table_->log(table_->context, level, message.c_str());
    }

    [[nodiscard]] scxhost_variable find(const char* name) const {
        scxhost_variable variable{};
        variable.size = sizeof variable;
        if (const int error = table_->find_variable(table_->context, name, &variable); error != 0)
            throw Error(std::string("BPF variable '") + name + "' not found", {}, -error);
        return variable;
    }

    [[nodiscard]] void* checked(const char* name, std::size_t bytes, bool to_write) const {
        const scxhost_variable variable = find(name);
        if (variable.bytes != bytes)
            throw Error(std::string("BPF variable '") + name + "' has " + std::to_string(variable.bytes) +
                        " bytes, the plugin expects " + std::to_string(bytes));
        if (to_write && variable.writable == 0)
            throw Error(std::string("BPF variable '") + name + "' is read-only once the object is loaded", {}, EROFS);
        return variable.data;
    }

    const scxhost_host* table_;
};

// Base class of a policy's user-space half. See scxhost_plugin_callbacks for when each method is called.
class Plugin {
public:
    explicit Plugin(const Host& host)
        : host_(host) {}
    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;
    virtual ~Plugin() = default;

    virtual void configure() {}
    virtual void loaded() {}
    virtual void attached() {}
    virtual void tick() {}
    virtual void detaching() {}

protected:
    [[nodiscard]] const Host& host() const { return host_; }

    // From now on `handler` gets what the BPF programs put into this ring buffer, a record at a time, between the other
    // methods and on the same thread. In loaded() or later. What it throws is logged. Throws Error when there is no
    // such ring buffer, or it has a handler.
    void on_event(const char* map, std::function<void(std::span<const std::byte>)> handler);
    // The same for records that are one T each. The handler is not called for a record of another size: an error.
    template <typename T>
    void on_event(const char* map, std::function<void(const T&)> handler);

private:
    struct Events {
        const scxhost_host* host;
        std::function<void(std::span<const std::byte>)> handler;
    };

    Host host_;
    std::deque<Events> events_; // where the host finds them again
};

namespace detail {

// Runs `body`; any exception becomes a report to the host and a negative errno. Not noexcept, and neither is what calls
// it: the unwinding of a thread that ends itself (pthread_exit(), cancellation) has to go through, or glibc ends the
// whole process.
template <typename Body>
std::int32_t guarded(const scxhost_host* host, Body&& body) {
    const auto report = [host](const char* message, const char* hint) {
        host->report_error(host->context, message, hint);
    };
    try {
        body();
        return 0;
    } catch (const Error& error) {
        report(error.what(), error.hint().empty() ? nullptr : error.hint().c_str());
        return error.code() > 0 ? -error.code() : -EINVAL;
    } catch (const std::bad_alloc&) {
        report("out of memory", nullptr);
        return -ENOMEM;
    } catch (const std::exception& error) {
        report(error.what(), nullptr);
        return -EINVAL;
#ifdef __GLIBCXX__
    } catch (const abi::__forced_unwind&) {
        throw;
#endif
    } catch (...) {
        report("the plugin threw something that is not a std::exception", nullptr);
        return -EINVAL;
    }
}

// What a handler of events is called by: `cookie` points to what Plugin::on_event keeps.
template <typename Events>
std::int32_t deliver(void* cookie, const void* data, std::size_t bytes) {
    const auto* events = static_cast<const Events*>(cookie);
    return guarded(events->host, [&] { events->handler({static_cast<const std::byte*>(data), bytes}); });
}

// What `instance` points to: the plugin together with the table that its shims report to.
struct Instance {
    const scxhost_host* host;
    std::unique_ptr<Plugin> plugin;
};

template <typename Class>
std::int32_t create(const scxhost_host* host, void** out) {
    return guarded(host, [&] {
        auto instance = std::make_unique<Instance>(Instance{host, std::make_unique<Class>(Host(*host))});
        *out = instance.release();
    });
}

inline void destroy(void* opaque) {
    auto* instance = static_cast<Instance*>(opaque);
    (void)guarded(instance->host, [&] { instance->plugin.reset(); });
    delete instance;
}

template <auto Method>
std::int32_t call(void* opaque) {
    auto* instance = static_cast<Instance*>(opaque);
    return guarded(instance->host, [&] { (instance->plugin.get()->*Method)(); });
}

template <typename Class>
constexpr scxhost_plugin_callbacks make_callbacks() {
    static_assert(std::is_base_of_v<Plugin, Class>, "SCXHOST_PLUGIN: the class must derive from scxhost::sdk::Plugin");
    return {.size = sizeof(scxhost_plugin_callbacks),
            .reserved = 0,
            .create = &create<Class>,
            .destroy = &destroy,
            .configure = &call<&Plugin::configure>,
            .loaded = &call<&Plugin::loaded>,
            .attached = &call<&Plugin::attached>,
            .tick = &call<&Plugin::tick>,
            .detaching = &call<&Plugin::detaching>};
}

} // namespace detail

inline void Plugin::on_event(const char* map, std::function<void(std::span<const std::byte>)> handler) {
    const scxhost_host* table = host_.table_;
    Events& events = events_.emplace_back(Events{table, std::move(handler)});
    const std::int32_t error = table->watch_events(table->context, map, detail::deliver<Events>, &events);
    if (error == 0)
        return;
    events_.pop_back();
    throw Error(std::string("events of BPF map '") + map + "' cannot be watched: " +
                    (error == -EINVAL   ? "it is no ring buffer"
                     : error == -EEXIST ? "they have a handler"
                                        : Host::reason(error)),
                {}, -error);
}

template <typename T>
void Plugin::on_event(const char* map, std::function<void(const T&)> handler) {
    static_assert(std::is_trivially_copyable_v<T>);
    on_event(map, std::function<void(std::span<const std::byte>)>(
                      [handler = std::move(handler), name = std::string(map)](std::span<const std::byte> bytes) {
                          if (bytes.size() != sizeof(T))
                              throw Error("an event of '" + name + "' has " + std::to_string(bytes.size()) +
                                          " bytes, the plugin expects " + std::to_string(sizeof(T)));
                          T event;
                          std::memcpy(&event, bytes.data(), sizeof event);
                          handler(event);
                      }));
}

} // namespace scxhost::sdk

// Makes `Class` (derived from scxhost::sdk::Plugin, constructible from a Host) the user-space half of this plugin. Once
// a library, at namespace scope. The descriptor that refers to it is generated by scx_add_plugin().
#define SCXHOST_PLUGIN(Class)                                                                                          \
    extern "C" const struct scxhost_plugin_callbacks scxhost_plugin_callbacks_table;                                   \
    extern "C" const struct scxhost_plugin_callbacks scxhost_plugin_callbacks_table =                                  \
        ::scxhost::sdk::detail::make_callbacks<Class>()

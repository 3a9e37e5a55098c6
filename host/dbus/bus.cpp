// SPDX-License-Identifier: GPL-2.0-only
#include "host/dbus/bus.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

namespace scxhost {

std::string error_text(sd_bus_message* answer) {
    const sd_bus_error* error = sd_bus_message_get_error(answer);
    if (error == nullptr)
        return {};
    return error->message != nullptr && *error->message != '\0' ? error->message : error->name;
}

bool is_error(sd_bus_message* answer, const char* name) {
    return sd_bus_message_is_method_error(answer, name) > 0;
}

Result<std::unique_ptr<Bus>> Bus::open(EventLoop& loop, const std::string& address) {
    const std::string called = address.empty() ? "the system bus" : fmt::format("the bus at {}", address);
    const auto failed = [&called](int code) {
        return fail_errno(ErrorKind::kIo, fmt::format("cannot connect to {}", called), -code,
                          "is it running? with systemd: systemctl status dbus");
    };
    sd_bus* bus = nullptr;
    int code = 0;
    if (address.empty()) {
        code = sd_bus_open_system(&bus);
    } else if ((code = sd_bus_new(&bus)) >= 0) {
        if ((code = sd_bus_set_address(bus, address.c_str())) >= 0 && (code = sd_bus_set_bus_client(bus, 1)) >= 0)
            code = sd_bus_start(bus);
        if (code < 0)
            bus = sd_bus_unref(bus);
    }
    if (code < 0)
        return fail(failed(code).error());
    std::unique_ptr<Bus> result(new Bus(bus));
    // The names are asked for next, and every call after that is one of the bus's clients: it is waited for here, once.
    const char* unique = nullptr;
    if ((code = sd_bus_get_unique_name(bus, &unique)) < 0 || (code = sd_bus_set_exit_on_disconnect(bus, 1)) < 0 ||
        (code = sd_bus_attach_event(bus, loop.native(), SD_EVENT_PRIORITY_NORMAL)) < 0)
        return fail(failed(code).error());
    return result;
}

Bus::~Bus() {
    sd_bus_flush_close_unref(bus_);
}

Result<> Bus::own(const std::string& name) {
    const int code = sd_bus_request_name(bus_, name.c_str(), 0);
    if (code == -EEXIST)
        return fail(ErrorKind::kBusy, fmt::format("somebody else has the name {} on the bus", name),
                    fmt::format("stop it first; 'busctl status {}' tells who it is", name));
    if (code == -EACCES || code == -EPERM)
        return fail_errno(ErrorKind::kPermission, fmt::format("the bus does not let us have the name {}", name), -code,
                          "be root, and install the bus's policy: share/dbus-1/system.d/org.scxhost.conf");
    if (code < 0)
        return fail_errno(ErrorKind::kIo, fmt::format("cannot have the name {} on the bus", name), -code);
    return {};
}

Result<> Bus::add(const char* path, const char* interface, const sd_bus_vtable* table, void* data) {
    if (const int code = sd_bus_add_object_vtable(bus_, nullptr, path, interface, table, data); code < 0)
        return fail_errno(ErrorKind::kInternal, fmt::format("cannot offer the interface {}", interface), -code);
    return {};
}

BusMessage Bus::method_call(const char* destination, const char* path, const char* interface,
                            const char* method) const {
    sd_bus_message* message = nullptr;
    (void)sd_bus_message_new_method_call(bus_, &message, destination, path, interface, method);
    return BusMessage(message);
}

Result<> Bus::call(BusMessage message, std::chrono::nanoseconds patience, Answered done) {
    auto waiting = std::make_unique<Answered>(std::move(done));
    sd_bus_slot* slot = nullptr;
    // The frames above are sd-bus's, in C: no exception may pass through them. One ends the process, which holds
    // nothing.
    const auto answered = [](sd_bus_message* answer, void* data, sd_bus_error*) noexcept {
        (*static_cast<Answered*>(data))(answer);
        return 1;
    };
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(patience).count();
    int code =
        message ? sd_bus_call_async(bus_, &slot, message.get(), answered, waiting.get(), static_cast<std::uint64_t>(us))
                : -ENOMEM;
    if (code < 0)
        return fail_errno(ErrorKind::kIo, "cannot send a message on the bus", -code);
    // The slot belongs to the bus now, and what waits to the slot.
    sd_bus_slot_set_destroy_callback(slot, [](void* data) { delete static_cast<Answered*>(data); });
    (void)waiting.release();
    (void)sd_bus_slot_set_floating(slot, 1);
    sd_bus_slot_unref(slot);
    return {};
}

} // namespace scxhost

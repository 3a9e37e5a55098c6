// SPDX-License-Identifier: GPL-2.0-only
//
// RAII over systemd's sd-bus: a connection to a message bus on the event loop, messages, and calls whose answers come
// later. Everything here is used on the loop's thread.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"

#include <systemd/sd-bus.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace scxhost {

struct BusMessageUnref {
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
// A reference of our own.
using BusMessage = std::unique_ptr<sd_bus_message, BusMessageUnref>;
[[nodiscard]] inline BusMessage keep(sd_bus_message* message) {
    return BusMessage(sd_bus_message_ref(message));
}

// What an answer says went wrong, as text; empty: nothing.
[[nodiscard]] std::string error_text(sd_bus_message* answer);
// Whether it failed with this error, such as SD_BUS_ERROR_SERVICE_UNKNOWN.
[[nodiscard]] bool is_error(sd_bus_message* answer, const char* name);

class Bus {
public:
    // `address` as in "unix:path=/run/bus"; empty: the system bus. The loop must outlive the bus, and ends when the bus
    // hangs up. Errors: kIo, when there is no bus or it refuses us.
    static Result<std::unique_ptr<Bus>> open(EventLoop& loop, const std::string& address);
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;
    ~Bus();

    // Becomes the owner of a well-known name. kBusy: somebody else is; kPermission: the bus's policy says no.
    Result<> own(const std::string& name);
    // An object's interface; `data` is what the table's functions get. Both must outlive the bus.
    Result<> add(const char* path, const char* interface, const sd_bus_vtable* table, void* data);

    // The message is sent, and `done` called once with its answer, an error one included, unless the bus ends before.
    using Answered = std::function<void(sd_bus_message* answer)>;
    Result<> call(BusMessage message, std::chrono::nanoseconds patience, Answered done);
    // nullptr when there is no memory.
    [[nodiscard]] BusMessage method_call(const char* destination, const char* path, const char* interface,
                                         const char* method) const;

    [[nodiscard]] sd_bus* get() const { return bus_; }

private:
    explicit Bus(sd_bus* bus)
        : bus_(bus) {}
    sd_bus* bus_;
};

} // namespace scxhost

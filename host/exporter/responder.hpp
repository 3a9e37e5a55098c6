// SPDX-License-Identifier: GPL-2.0-only
//
// HTTP without sockets: the bytes of a request to the bytes of its answer, which is the host's metrics, or why not.
// What HTTP says is read and written by Boost.Beast; how much is read, and for how long, is http_server.hpp's to see
// to.
#pragma once

#include "host/base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace scxhost {

class Responder {
public:
    // Who asks again within this time gets the same answer: whoever floods the exporter asks the host once a second.
    static constexpr std::chrono::seconds kFresh{1};

    // `ask`: for the answer of the control socket's method `metrics`.
    using Ask = std::function<Result<nlohmann::json>()>;
    // `fresh` is for tests.
    explicit Responder(Ask ask, std::chrono::nanoseconds fresh = kFresh);
    Responder(const Responder&) = delete;
    Responder& operator=(const Responder&) = delete;
    ~Responder();

    // `request`: up to the empty line behind its headers; what would follow is not looked at. `over_loopback`: it came
    // to an address of this machine alone. The connection is closed behind the answer; what is no HTTP is answered with
    // status 400. Empty: there is no memory for an answer.
    [[nodiscard]] std::string respond(std::string_view request, bool over_loopback);
    // To a request whose headers are too long.
    [[nodiscard]] static std::string_view too_long();

private:
    class Server;
    std::unique_ptr<Server> server_;
};

} // namespace scxhost

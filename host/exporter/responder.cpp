// SPDX-License-Identifier: GPL-2.0-only
#include "host/exporter/responder.hpp"

#include "host/exporter/negotiation.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <httplib.h>
#include <nlohmann/json.hpp>
#include <strings.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <utility>

namespace scxhost {
namespace {

constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kPage = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>scxhost</title></head>\n"
                              "<body><h1>scxhost</h1><p><a href=\"/metrics\">Metrics</a></p></body></html>\n";

// What was read is there already; what is written is kept.
class MemoryStream : public httplib::Stream {
public:
    explicit MemoryStream(std::string_view in)
        : in_(in) {}
    [[nodiscard]] std::string take_output() { return std::move(out_); }

    [[nodiscard]] bool is_readable() const override { return !in_.empty(); }
    [[nodiscard]] bool is_writable() const override { return true; }
    ssize_t read(char* to, std::size_t size) override {
        const std::size_t part = in_.copy(to, size);
        in_.remove_prefix(part);
        return static_cast<ssize_t>(part);
    }
    ssize_t write(const char* from, std::size_t size) override {
        out_.append(from, size);
        return static_cast<ssize_t>(size);
    }
    void get_remote_ip_and_port(std::string&, int&) const override {}
    void get_local_ip_and_port(std::string&, int&) const override {}
    [[nodiscard]] socket_t socket() const override { return INVALID_SOCKET; }

private:
    std::string_view in_;
    std::string out_;
};

// An address or "localhost", with or without a port: what no name server has a say in.
bool is_no_domain(std::string host) {
    if (host.starts_with('['))
        host = host.substr(1, host.find(']') - 1);
    else
        host = host.substr(0, host.find(':'));
    std::array<unsigned char, sizeof(in6_addr)> address{};
    return ::strcasecmp(host.c_str(), "localhost") == 0 || ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

} // namespace

class Responder::Server : public httplib::Server {
public:
    Server(Ask ask, std::chrono::nanoseconds fresh)
        : ask_(std::move(ask))
        , fresh_(fresh) {
        // A browser does not take it for anything else, whatever texts are in it.
        set_default_headers({{"X-Content-Type-Options", "nosniff"}});
        // Before any part of a body is looked at.
        set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
            answer(request, response);
            return HandlerResponse::Handled;
        });
    }

    [[nodiscard]] std::string respond(std::string_view request, bool over_loopback) {
        over_loopback_ = over_loopback;
        MemoryStream stream(request);
        bool closed = false;
        // Parts of the metrics are of no use.
        process_request(stream, /*close_connection=*/true, closed, [](httplib::Request& read) { read.ranges.clear(); });
        return stream.take_output();
    }

private:
    void answer(const httplib::Request& request, httplib::Response& response) {
        response.status = 200;
        if (over_loopback_ && request.has_header("Host") && !is_no_domain(request.get_header_value("Host")))
            return refuse(response, 403, "on this address only localhost and addresses are served, not other names");
        if (request.path != "/" && request.path != "/metrics")
            return refuse(response, 404, "there is nothing here; the metrics are at /metrics");
        if (request.method != "GET" && request.method != "HEAD") {
            response.set_header("Allow", "GET, HEAD");
            return refuse(response, 405, "only GET and HEAD are possible here");
        }
        if (request.path == "/")
            return response.set_content(kPage, "text/html; charset=utf-8");
        const Result<nlohmann::json>& metrics = fresh_metrics();
        if (!metrics)
            return refuse(response, 503,
                          metrics.error().hint.empty() ? metrics.error().what
                                                       : metrics.error().what + "\nhint: " + metrics.error().hint);
        const MetricsFormat format = wanted_format(request.get_header_value("Accept"));
        response.set_content(metrics_text(*metrics, format), std::string(content_type(format)));
    }

    static void refuse(httplib::Response& response, int status, const std::string& why) {
        response.status = status;
        response.set_content(why + "\n", kText);
    }

    const Result<nlohmann::json>& fresh_metrics() {
        if (!metrics_ || std::chrono::steady_clock::now() - asked_ >= fresh_) {
            metrics_ = ask_();
            asked_ = std::chrono::steady_clock::now();
        }
        return *metrics_;
    }

    Ask ask_;
    std::chrono::nanoseconds fresh_;
    std::optional<Result<nlohmann::json>> metrics_;
    std::chrono::steady_clock::time_point asked_;
    bool over_loopback_ = false;
};

Responder::Responder(Ask ask, std::chrono::nanoseconds fresh)
    : server_(std::make_unique<Server>(std::move(ask), fresh)) {}

Responder::~Responder() = default;

std::string Responder::respond(std::string_view request, bool over_loopback) try {
    return server_->respond(request, over_loopback);
} catch (const std::exception&) {
    return {}; // what a parser throws at is no request
}

std::string_view Responder::too_long() {
    return "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
}

} // namespace scxhost

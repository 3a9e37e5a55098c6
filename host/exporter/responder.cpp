// SPDX-License-Identifier: GPL-2.0-only
#include "host/exporter/responder.hpp"

#include "host/exporter/negotiation.hpp"

#include <arpa/inet.h>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <strings.h>
#include <zlib.h>

#include <array>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

namespace scxhost {
namespace {

namespace http = boost::beast::http;
using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

constexpr unsigned kHttpVersion = 11; // 1.1

constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kPage = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>scxhost</title></head>\n"
                              "<body><h1>scxhost</h1><p><a href=\"/metrics\">Metrics</a></p></body></html>\n";

// False, and the text is as it was: there is no memory for it.
bool gzip(std::string& text) {
    constexpr int kGzip = 16; // added to the window: gzip's header instead of zlib's
    constexpr int kUsualMemory = 8;
    z_stream stream{};
    if (::deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + kGzip, kUsualMemory, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    std::string packed(::deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(text.data());
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    const bool whole = ::deflate(&stream, Z_FINISH) == Z_STREAM_END;
    packed.resize(stream.total_out);
    ::deflateEnd(&stream);
    if (whole)
        text = std::move(packed);
    return whole;
}

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

// Boost's own type of texts is not the same in all its versions. Of what is there several times, the first.
std::string_view value_of(const Request& request, http::field name) {
    const auto value = request[name];
    return {value.data(), value.size()};
}

Response page(http::status status, std::string_view type, std::string text) {
    Response response(status, kHttpVersion);
    response.set(http::field::content_type, std::string(type));
    response.body() = std::move(text);
    return response;
}

Response refusal(http::status status, const std::string& why) {
    return page(status, kText, why + "\n");
}

std::string write(Response response, bool with_body) {
    response.keep_alive(false);
    // A browser does not take it for anything else, whatever texts are in it.
    response.set("X-Content-Type-Options", "nosniff");
    response.prepare_payload();
    http::response_serializer<http::string_body> serializer(response);
    serializer.split(true);
    std::string text;
    boost::system::error_code error;
    while (!error && (with_body ? !serializer.is_done() : !serializer.is_header_done()))
        serializer.next(error, [&](boost::system::error_code&, const auto& buffers) {
            std::size_t bytes = 0;
            const auto end = boost::asio::buffer_sequence_end(buffers);
            for (auto part = boost::asio::buffer_sequence_begin(buffers); part != end; ++part) {
                const boost::asio::const_buffer piece = *part;
                text.append(static_cast<const char*>(piece.data()), piece.size());
                bytes += piece.size();
            }
            serializer.consume(bytes);
        });
    return error ? std::string() : text;
}

} // namespace

class Responder::Server {
public:
    Server(Ask ask, std::chrono::nanoseconds fresh)
        : ask_(std::move(ask))
        , fresh_(fresh) {}

    [[nodiscard]] std::string respond(std::string_view text, bool over_loopback) {
        http::request_parser<http::empty_body> parser;
        // The caller sees to the length of the headers, and a body is not read, whatever its length is said to be.
        parser.header_limit(std::numeric_limits<std::uint32_t>::max());
        parser.body_limit(std::numeric_limits<std::uint64_t>::max());
        boost::system::error_code error;
        (void)parser.put(boost::asio::buffer(text.data(), text.size()), error);
        if (error || !parser.is_header_done())
            return write(refusal(http::status::bad_request, "this is no request of HTTP/1.1"), true);
        const Request& request = parser.get();
        return write(answer(request, over_loopback), request.method() != http::verb::head);
    }

private:
    Response answer(const Request& request, bool over_loopback) {
        const std::string_view target(request.target().data(), request.target().size());
        const std::string_view path = target.substr(0, target.find('?'));
        if (request.count(http::field::host) > 1)
            return refusal(http::status::bad_request, "a request names one host");
        if (over_loopback && request.count(http::field::host) > 0 &&
            !is_no_domain(std::string(value_of(request, http::field::host))))
            return refusal(http::status::forbidden,
                           "on this address only localhost and addresses are served, not other names");
        if (path != "/" && path != "/metrics")
            return refusal(http::status::not_found, "there is nothing here; the metrics are at /metrics");
        if (request.method() != http::verb::get && request.method() != http::verb::head) {
            Response refused = refusal(http::status::method_not_allowed, "only GET and HEAD are possible here");
            refused.set(http::field::allow, "GET, HEAD");
            return refused;
        }
        if (path == "/")
            return page(http::status::ok, "text/html; charset=utf-8", kPage);
        const Result<nlohmann::json>& metrics = fresh_metrics();
        if (!metrics)
            return refusal(http::status::service_unavailable,
                           metrics.error().hint.empty() ? metrics.error().what
                                                        : metrics.error().what + "\nhint: " + metrics.error().hint);
        const MetricsFormat format = wanted_format(value_of(request, http::field::accept));
        Response found = page(http::status::ok, content_type(format), metrics_text(*metrics, format));
        found.set(http::field::vary, "Accept, Accept-Encoding");
        if (accepts_gzip(value_of(request, http::field::accept_encoding)) && gzip(found.body()))
            found.set(http::field::content_encoding, "gzip");
        return found;
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
};

Responder::Responder(Ask ask, std::chrono::nanoseconds fresh)
    : server_(std::make_unique<Server>(std::move(ask), fresh)) {}

Responder::~Responder() = default;

std::string Responder::respond(std::string_view request, bool over_loopback) try {
    return server_->respond(request, over_loopback);
} catch (const std::exception&) {
    return {}; // out of memory, or a header that is longer than what Boost keeps
}

std::string_view Responder::too_long() {
    return "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
}

} // namespace scxhost

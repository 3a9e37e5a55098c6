// SPDX-License-Identifier: GPL-2.0-only
#include "host/dbus/authority.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace scxhost {
namespace {

constexpr std::chrono::seconds kBusPatience{10};
// Polkit answers when its dialog is done.
constexpr std::chrono::minutes kDialogPatience{5};

constexpr std::uint32_t kAllowUserInteraction = 1;

Error denied(std::string what, std::string hint) {
    return {.kind = ErrorKind::kPermission, .what = std::move(what), .hint = std::move(hint)};
}

// Polkit's answer to CheckAuthorization: (bba{ss}).
Result<> read_answer(sd_bus_message* answer, const char* action) {
    if (is_error(answer, SD_BUS_ERROR_SERVICE_UNKNOWN) || is_error(answer, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
        return fail(denied("only root may, since there is no polkit here to ask", "be root, or install polkit"));
    if (const std::string error = error_text(answer); !error.empty())
        return fail(
            denied(fmt::format("polkit could not be asked: {}", error),
                   fmt::format("'pkaction --verbose --action-id {}' says whether it knows the action", action)));
    int authorized = 0;
    int challenge = 0;
    if (sd_bus_message_enter_container(answer, 'r', "bba{ss}") < 0 ||
        sd_bus_message_read(answer, "bb", &authorized, &challenge) < 0)
        return fail(ErrorKind::kIo, "polkit's answer cannot be read");
    if (authorized != 0)
        return {};
    return fail(challenge != 0 ? denied(fmt::format("{} needs a password, and nothing here can ask for it", action),
                                        "run a polkit agent, such as pkttyagent, or be root")
                               : denied(fmt::format("polkit does not allow {} to you", action),
                                        "who may is said by rules in /etc/polkit-1/rules.d"));
}

} // namespace

void Authority::ask(sd_bus_message* call, const char* action, Answer answer) {
    const char* sender = sd_bus_message_get_sender(call);
    if (sender == nullptr)
        return answer(fail(denied("the bus does not say who calls", "use a message bus")));
    if (*questions_ >= kMaxQuestions)
        return answer(fail(ErrorKind::kBusy, "too many callers wait for permission", "ask again later"));
    BusMessage who = bus_.method_call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                      "GetConnectionUnixUser");
    if (who && sd_bus_message_append(who.get(), "s", sender) < 0)
        who.reset();
    // Counted for as long as the answer is owed, however it is given.
    ++*questions_;
    const std::shared_ptr<void> counted(nullptr, [questions = questions_](void*) { --*questions; });
    const auto shared =
        std::make_shared<Answer>([counted, answer = std::move(answer)](Result<> result) { answer(std::move(result)); });
    const Result<> sent = bus_.call(
        std::move(who), kBusPatience, [this, shared, action, name = std::string(sender)](sd_bus_message* reply) {
            std::uint32_t uid = 0;
            if (const std::string error = error_text(reply); !error.empty())
                return (*shared)(fail(denied(fmt::format("the bus does not know who calls: {}", error), {})));
            if (sd_bus_message_read(reply, "u", &uid) < 0)
                return (*shared)(fail(ErrorKind::kIo, "the bus's answer cannot be read"));
            if (uid == 0)
                return (*shared)({});
            ask_polkit(name, action, *shared);
        });
    if (!sent)
        (*shared)(sent);
}

void Authority::ask_polkit(const std::string& sender, const char* action, Answer answer) {
    BusMessage question = bus_.method_call("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
    if (question && sd_bus_message_append(question.get(), "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                          sender.c_str(), action, 0, kAllowUserInteraction, "") < 0)
        question.reset();
    const Result<> sent = bus_.call(std::move(question), kDialogPatience,
                                    [answer, action](sd_bus_message* reply) { answer(read_answer(reply, action)); });
    if (!sent)
        answer(sent);
}

} // namespace scxhost

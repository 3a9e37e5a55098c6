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

Error too_many() {
    return {.kind = ErrorKind::kBusy, .what = "too many callers wait for permission", .hint = "ask again later"};
}

// Counts one for as long as what it returns is there. `owner` keeps the number.
template <typename Owner>
std::shared_ptr<void> count(const std::shared_ptr<Owner>& owner, std::size_t& number) {
    ++number;
    return {nullptr, [owner, &number](void*) { --number; }};
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
    if (*callers_ >= kMaxCallers)
        return answer(fail(too_many()));
    BusMessage who = bus_.method_call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                      "GetConnectionUnixUser");
    if (who && sd_bus_message_append(who.get(), "s", sender) < 0)
        who.reset();
    const Result<> sent =
        bus_.call(std::move(who), kBusPatience,
                  [this, answer, action, name = std::string(sender),
                   counted = count(callers_, *callers_)](sd_bus_message* reply) {
                      std::uint32_t uid = 0;
                      if (const std::string error = error_text(reply); !error.empty())
                          return answer(fail(denied(fmt::format("the bus does not know who calls: {}", error), {})));
                      if (sd_bus_message_read(reply, "u", &uid) < 0)
                          return answer(fail(ErrorKind::kIo, "the bus's answer cannot be read"));
                      if (uid == 0)
                          return answer({});
                      ask_polkit(name, uid, action, answer);
                  });
    if (!sent)
        answer(sent);
}

void Authority::ask_polkit(const std::string& sender, uid_t uid, const char* action, Answer answer) {
    std::size_t& of_user = (*questions_)[uid];
    std::size_t of_all = 0;
    for (const auto& [user, questions] : *questions_)
        of_all += questions;
    if (of_user >= kMaxQuestionsOfUser || of_all >= kMaxQuestions)
        return answer(fail(too_many()));
    BusMessage question = bus_.method_call("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
    if (question && sd_bus_message_append(question.get(), "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                          sender.c_str(), action, 0, kAllowUserInteraction, "") < 0)
        question.reset();
    const Result<> sent = bus_.call(std::move(question), kDialogPatience,
                                    [answer, action, counted = count(questions_, of_user)](sd_bus_message* reply) {
                                        answer(read_answer(reply, action));
                                    });
    if (!sent)
        answer(sent);
}

} // namespace scxhost
